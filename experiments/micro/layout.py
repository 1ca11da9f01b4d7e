"""Every id, rate and block length of the micro family: Bark's layout with smaller numbers.

Semantic vocabulary, 50 tokens a second: ``phone * 32 + frames_remaining * 4 + pitch``. A phone's length is decided
once, at its first frame, and then counts down, so only the first frame of a phone is a real choice. Pitch is
relative to the utterance's own median, which keeps the tokens independent of who speaks.
"""

from __future__ import annotations

SAMPLE_RATE = 24_000
SEMANTIC_RATE_HZ = 50
COARSE_RATE_HZ = 75
SAMPLES_PER_SEMANTIC = SAMPLE_RATE // SEMANTIC_RATE_HZ  # 480
SAMPLES_PER_FRAME = SAMPLE_RATE // COARSE_RATE_HZ  # 320
COARSE_PER_SEMANTIC = 3  # flat coarse tokens (2 codebooks) per semantic token, exactly

# espeak-ng's American phones, near-identical ones merged (see labels.MERGED).
_PHONE_NAMES = (
    "_ ; I I# i i: E a aI aU A: A@ aI3 O: o@ oU OI O2 V @ a# @L 3 3: e@ eI i@ i@3 u: U U@ "
    "p b t d t# k g f v T D s z S Z h m n N l r w j tS dZ"
)
PHONES = tuple(_PHONE_NAMES.split())
N_PHONES = 56
N_REMAINING = 8  # 0 to 6 frames exactly, 7 means seven or more
N_PITCH = 4
TOKENS_PER_PHONE = N_REMAINING * N_PITCH

SEMANTIC_VOCAB = N_PHONES * TOKENS_PER_PHONE  # 1792
SEMANTIC_PAD = SEMANTIC_VOCAB  # also the end of the utterance, as in Bark
SEMANTIC_INFER = SEMANTIC_VOCAB + 1
TEXT_PAD = SEMANTIC_VOCAB + 2
TEXT_OFFSET = SEMANTIC_VOCAB + 8
TEXT_VOCAB = 64  # 43 in use, the rest spare
SEMANTIC_TABLE = TEXT_OFFSET + TEXT_VOCAB

TEXT_BLOCK = 128
HISTORY_START = 88  # the semantic history lies over the padding of the text, not over the text
HISTORY_FRAMES = TEXT_BLOCK - HISTORY_START
MAX_SEMANTIC = 384
SEMANTIC_BLOCK = TEXT_BLOCK + 1 + MAX_SEMANTIC

CODEBOOK = 512
N_COARSE = 2
N_FINE = 8
COARSE_OFFSET = SEMANTIC_VOCAB
COARSE_PAD = COARSE_OFFSET + N_COARSE * CODEBOOK
COARSE_INFER = COARSE_PAD + 2
COARSE_TABLE = COARSE_PAD + 8
COARSE_SEMANTIC_BLOCK = 112
COARSE_HISTORY = 240  # flat tokens, 1.6 s
COARSE_WINDOW = 60
COARSE_BLOCK = COARSE_SEMANTIC_BLOCK + 1 + COARSE_HISTORY + COARSE_WINDOW
SEMANTIC_LOOKBACK = COARSE_HISTORY // COARSE_PER_SEMANTIC

FINE_PAD = CODEBOOK
FINE_TABLE = CODEBOOK + 8
FINE_BLOCK = 192
FINE_HISTORY = 96
