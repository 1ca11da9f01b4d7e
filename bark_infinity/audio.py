"""Sound files: written whole or not at all, read with limits; and file names that every system accepts."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import re
import unicodedata
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from bark_infinity.error_handling import BarkError

logger = logging.getLogger(__name__)

Float32Array = NDArray[np.float32]

AudioFormat = Literal[
    "wav",  # 16-bit PCM
    "wav-float",  # 32-bit float, bit for bit what the codec made
    "flac",  # 16-bit, lossless
]
_SUFFIXES: dict[str, AudioFormat] = {".wav": "wav", ".flac": "flac"}

MAX_FILE_BYTES = 2 * 2**30
MAX_DURATION_S = 3_600.0  # of a recording that is read
MAX_CHANNELS = 8
MAX_SAMPLE_RATE = 192_000  # Hz
_BLOCK_FRAMES = 1 << 18

_FULL_SCALE = 32_767  # 1.0 as a 16-bit sample; symmetric, so that -1.0 and 1.0 are equally loud
# Names Windows keeps for devices, with any suffix; the superscript digits count as digits there.
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])", re.IGNORECASE)


@dataclass(frozen=True)
class WrittenAudio:
    """What became of one `write_audio`."""

    path: Path
    n_samples: int
    sample_rate: int  # Hz
    n_clipped: int  # samples beyond full scale, limited to it; always 0 for wav-float

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_samples / self.sample_rate


def write_audio(
    path: str | os.PathLike[str],
    audio: NDArray[np.floating],
    sample_rate: int,
    *,
    format: AudioFormat | None = None,
    overwrite: bool = False,
) -> WrittenAudio:
    """Writes a mono sound file. Until it is complete nothing stands under its name.

    Args:
        path: Where; its directory is made if need be.
        audio: (S,) samples, full scale 1.0.
        sample_rate: Hz.
        format: None goes by the name: ``.wav`` or ``.flac``.
        overwrite: Whether a file of that name may be replaced.

    Raises:
        BarkError: When there is nothing to write, a sample is NaN or infinite, the format is unknown, the
            file exists already, or the disk does not take it.
    """
    target = Path(path)
    kind = _format_of(target, format)
    samples = checked_mono(audio, f"the audio for {target.name}")
    if not 1 <= sample_rate <= MAX_SAMPLE_RATE:
        raise BarkError(f"sample_rate is {sample_rate}, expected 1 to {MAX_SAMPLE_RATE} Hz")
    n_clipped = 0 if kind == "wav-float" else int(np.count_nonzero(np.abs(samples) > 1.0))
    _write_whole(target, _encoded(samples, sample_rate, kind), overwrite)
    if n_clipped:
        logger.warning("%s: %d of %d samples were clipped", target.name, n_clipped, samples.size)
    return WrittenAudio(target, samples.size, sample_rate, n_clipped)


def read_audio(path: str | os.PathLike[str], sample_rate: int | None = None) -> tuple[Float32Array, int]:
    """Reads a sound file as mono; several channels are averaged.

    Args:
        path: Anything libsndfile reads: wav, flac, ogg, mp3, aiff.
        sample_rate: Resample to this rate (Hz); None keeps the file's.

    Returns:
        (S,) samples and their rate in Hz.

    Raises:
        BarkError: When the file is missing, unreadable, empty, too large or too long, or holds NaN.
    """
    import soundfile

    source = Path(path)
    try:
        n_bytes = source.stat().st_size
        if not source.is_file() or n_bytes > MAX_FILE_BYTES:
            raise BarkError(
                f"{source} is {n_bytes} bytes or no regular file, expected a sound file of at most "
                f"{MAX_FILE_BYTES} bytes; cut it first"
            )
        with soundfile.SoundFile(source) as file:
            n_frames, rate, channels = file.frames, file.samplerate, file.channels
            if not (1 <= rate <= MAX_SAMPLE_RATE and 1 <= channels <= MAX_CHANNELS):
                raise BarkError(
                    f"{source} has {channels} channels at {rate} Hz, expected at most {MAX_CHANNELS} at up "
                    f"to {MAX_SAMPLE_RATE} Hz; convert it first"
                )
            if n_frames > MAX_DURATION_S * rate:
                raise BarkError(
                    f"{source} lasts {n_frames / rate:.0f} s, expected at most {MAX_DURATION_S:.0f} s; cut it first"
                )
            # By blocks, so that memory follows what is in the file and not what its header claims.
            blocks = file.blocks(_BLOCK_FRAMES, dtype="float32", always_2d=True)  # (S, channels) each
            parts = [block.mean(axis=1) for block in blocks]
    except FileNotFoundError as error:
        raise BarkError(f"there is no file {source}; check the path") from error
    except (OSError, soundfile.SoundFileError) as error:
        raise BarkError(f"{source} cannot be read as sound: {error}; convert it to wav or flac") from error
    samples = checked_mono(np.concatenate([np.zeros(0, np.float32), *parts]), str(source))
    return (samples, rate) if sample_rate is None else (resample(samples, rate, sample_rate), sample_rate)


def resample(audio: Float32Array, from_rate: int, to_rate: int) -> Float32Array:
    """Changes the sample rate (soxr, high quality).

    Args:
        audio: (S,) samples.
        from_rate: Hz.
        to_rate: Hz.

    Raises:
        BarkError: When a rate is not from 1 to `MAX_SAMPLE_RATE`.
    """
    for rate in (from_rate, to_rate):
        if not 1 <= rate <= MAX_SAMPLE_RATE:
            raise BarkError(f"cannot resample from {from_rate} to {to_rate} Hz, expected 1 to {MAX_SAMPLE_RATE} Hz")
    if from_rate == to_rate:
        return audio
    import soxr

    return np.asarray(soxr.resample(audio, from_rate, to_rate, quality="HQ"), np.float32)


def checked_mono(audio: NDArray[np.floating], name: str) -> Float32Array:
    """The samples as contiguous (S,) float32, or the reason why they are none.

    Raises:
        BarkError: When they are empty, not one row of floats, or hold NaN or infinite values.
    """
    array = np.asarray(audio)
    if array.ndim != 1 or array.dtype.kind != "f":
        raise BarkError(
            f"{name}: expected mono samples, floats of shape (S,), got {array.dtype} of shape {array.shape}; "
            "average the channels, and divide integers by their full scale"
        )
    if not array.size:
        raise BarkError(f"{name}: there is not one sample in it; render or record something first")
    samples = np.ascontiguousarray(array, np.float32)
    if not np.isfinite(samples).all():
        n_bad = int(np.count_nonzero(~np.isfinite(samples)))
        raise BarkError(f"{name}: {n_bad} of {samples.size} samples are NaN or infinite; make it again")
    return samples


def safe_stem(text: str, *, max_bytes: int = 100) -> str:
    """A file name, without suffix, that says what ``text`` says and that Linux, macOS and Windows all accept.

    Args:
        text: A prompt, a voice's name, anything.
        max_bytes: Limit in UTF-8; systems allow 255 for the whole name.

    Returns:
        One or more printable characters; ``"audio"`` when nothing of the text can stay.
    """
    composed = unicodedata.normalize("NFC", text)
    # Categories C* are controls, bidi marks, surrogates and unassigned: invisible at best.
    visible = "".join(char for char in composed if char.isspace() or unicodedata.category(char)[0] != "C")
    stem = re.sub(r'[<>:"/\\|?*\s_]+', "_", visible)
    stem = stem.encode("utf-8")[:max_bytes].decode("utf-8", errors="ignore")
    # A leading dot hides a file, a leading dash reads as an option, trailing dots and spaces vanish on
    # Windows.
    stem = stem.strip("._- ")
    if _RESERVED.fullmatch(stem.split(".")[0].rstrip()):
        stem = f"x_{stem}"
    return stem or "audio"


def unique_path(directory: str | os.PathLike[str], stem: str, suffix: str) -> Path:
    """A path in ``directory`` that is not taken: ``stem.wav``, then ``stem_2.wav``, ``stem_3.wav`` and so on.

    Letter case is ignored, as it is on Windows and macOS. The path is not reserved: `write_audio` refuses it
    should another process be faster.

    Args:
        directory: Need not exist yet.
        stem: See `safe_stem`.
        suffix: With its dot.
    """
    folder = Path(directory)
    pattern = re.compile(re.escape(stem.casefold()) + r"(?:_(\d{1,18}))?" + re.escape(suffix.casefold()))
    highest = 0
    if folder.is_dir():
        for name in os.listdir(folder):
            taken = pattern.fullmatch(name.casefold())
            if taken:
                highest = max(highest, int(taken[1] or 1))
    return folder / (f"{stem}_{highest + 1}{suffix}" if highest else f"{stem}{suffix}")


def _format_of(target: Path, wanted: str | None) -> AudioFormat:
    kind = wanted or _SUFFIXES.get(target.suffix.lower())
    if kind not in get_args(AudioFormat):
        raise BarkError(
            f"cannot tell the audio format of {target.name} (format {wanted!r}), expected one of "
            f"{', '.join(get_args(AudioFormat))}; end the name in .wav or .flac"
        )
    return cast("AudioFormat", kind)


def _encoded(samples: Float32Array, sample_rate: int, kind: AudioFormat) -> bytes:
    """The file's bytes. In memory, because libsndfile does not report a full disk reliably."""
    import soundfile

    buffer = io.BytesIO()
    if kind == "wav-float":
        soundfile.write(buffer, samples, sample_rate, format="WAV", subtype="FLOAT")
    else:
        pcm = np.rint(np.clip(samples, -1.0, 1.0) * _FULL_SCALE).astype(np.int16)
        soundfile.write(buffer, pcm, sample_rate, format=kind.upper(), subtype="PCM_16")
    return buffer.getvalue()


def _write_whole(target: Path, content: bytes, overwrite: bool) -> None:
    part = target.parent / f".{uuid.uuid4().hex}.part"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BarkError(f"cannot make the directory {target.parent}: {error.strerror or error}") from error
    try:
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            os.replace(part, target)
        else:
            _rename_if_free(part, target)
    except FileExistsError as error:
        raise BarkError(f"{target} exists already; choose another name or allow overwriting it") from error
    except OSError as error:
        hint = "make room on the disk" if error.errno == errno.ENOSPC else "check the directory"
        raise BarkError(f"cannot write {target}: {error.strerror or error}; {hint}") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _rename_if_free(part: Path, target: Path) -> None:
    """Gives ``part`` its final name in one step that fails if the name is taken."""
    if os.name == "nt":
        part.rename(target)  # refuses an existing name there; on POSIX it would replace the file
        return
    try:
        os.link(part, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: look, then leap
        if target.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        part.rename(target)
