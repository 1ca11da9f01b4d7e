"""What the exit code of `bark-lab` says."""

FINE = 0
NOT_FINE = 1  # the thing asked about is not fine: verify found problems, a regenerated birth differs, ...
USAGE = 2  # what was asked for makes no sense, or the file or recipe named is missing, foreign or locked
RUN_FAILED = 3  # a run could not go on
BUG = 70  # of this program; EX_SOFTWARE of sysexits.h
INTERRUPTED = 130  # Ctrl-C or a signal; what was acknowledged is safe

EXPLAINED = (
    "Exit codes: 0 fine; 1 the thing asked about is not fine (verify found problems); 2 wrong usage or input; "
    "3 the run failed; 70 a bug; 130 interrupted."
)
