"""Suno's functions over one default engine, so that scripts written for ``bark`` run with the import changed.

``import bark_infinity as bark`` and go on as before: signatures, defaults and return values are Suno's. Every
function also takes ``seed``; where Suno drew from global randomness, a seed is drawn from the system's and logged.
The engine is loaded at the first call that needs it, or by `preload_models`.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import secrets
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from bark_infinity.default_engine import EngineChoice, choose_engine, load_engine
from bark_infinity.error_handling import BarkError
from bark_infinity.requests import Rendering, RenderRequest, RenderSettings
from bark_infinity.tokens import SAMPLE_RATE, SUNO_TOKENS, Int64Array, TokenSpace
from bark_infinity.voices.history import VoiceHistory

if TYPE_CHECKING:
    from bark_infinity.engine import BarkEngine
    from bark_infinity.voices.catalogue import VoiceEntry

__all__ = [
    "SAMPLE_RATE",
    "codec_decode",
    "generate_audio",
    "generate_coarse",
    "generate_fine",
    "generate_text_semantic",
    "list_speakers",
    "load_codec_model",
    "preload_models",
    "save_as_prompt",
    "semantic_to_waveform",
    "text_to_semantic",
]

logger = logging.getLogger(__name__)

History = str | os.PathLike[str] | Mapping[str, Any] | VoiceHistory
FullGeneration = dict[str, Int64Array]
AudioArray = NDArray[np.float32]

# Suno's defaults of window sizes stand for "the checkpoint's own", which in Suno's checkpoints is the same.
_SUNO_COARSE_HISTORY, _SUNO_WINDOW = 630, 60
_SEED_NAMES: tuple[Literal["seed", "semantic_seed", "coarse_seed", "fine_seed"], ...] = (
    "seed",
    "semantic_seed",
    "coarse_seed",
    "fine_seed",
)


class _Seeds(TypedDict, total=False):
    seed: int
    semantic_seed: int
    coarse_seed: int
    fine_seed: int


class _DefaultEngine:
    """The one engine of this face; any thread may ask for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engine: BarkEngine | None = None
        self._choice: EngineChoice | None = None

    def get(self) -> BarkEngine:
        """The engine, loaded if need be."""
        with self._lock:
            if self._engine is None:
                self._load(choose_engine())
            assert self._engine is not None
            return self._engine

    def load(self, choice: EngineChoice, *, force_reload: bool) -> BarkEngine:
        """Loads what was chosen, unless it is there already."""
        with self._lock:
            if force_reload or self._engine is None or choice != self._choice:
                self._load(choice)
            assert self._engine is not None
            return self._engine

    @property
    def loaded(self) -> BarkEngine | None:
        """The engine, if it is there already."""
        return self._engine

    def forget(self) -> None:
        """Drops the engine; calls that still run in other threads keep theirs until they are done."""
        with self._lock:
            self._engine = self._choice = None

    def _load(self, choice: EngineChoice) -> None:
        logger.warning("loading checkpoint %s: %s", choice.source, choice.reason)
        self._engine = None  # two engines at once might not fit
        self._engine = load_engine(choice)
        self._choice = choice


_default = _DefaultEngine()


def preload_models(
    text_use_gpu: bool = True,
    text_use_small: bool = False,
    coarse_use_gpu: bool = True,
    coarse_use_small: bool = False,
    fine_use_gpu: bool = True,
    fine_use_small: bool = False,
    codec_use_gpu: bool = True,
    force_reload: bool = False,
    *,
    model: str | os.PathLike[str] | None = None,
    device: str = "auto",
    precision: str = "auto",
) -> None:
    """Loads the default engine now instead of at the first call.

    Args:
        text_use_gpu: All four ``use_gpu`` must agree; False runs on the CPU.
        text_use_small: All three ``use_small`` must agree; True takes ``suno/bark-small``, or the small files of a
            ``model`` that has both sizes. Where none is True, ``SUNO_USE_SMALL_MODELS`` decides.
        coarse_use_gpu: See ``text_use_gpu``.
        coarse_use_small: See ``text_use_small``.
        fine_use_gpu: See ``text_use_gpu``.
        fine_use_small: See ``text_use_small``.
        codec_use_gpu: See ``text_use_gpu``.
        force_reload: Load again what is loaded already.
        model: Checkpoint, as `BarkEngine.load` takes it; None follows ``BARK_MODEL``, then the local cache.
        device: As for `BarkEngine.load`.
        precision: As for `BarkEngine.load`.

    Raises:
        BarkError: When the wishes contradict each other or mix sizes or devices.
        CheckpointError: When the checkpoint is missing or damaged.
    """
    use_gpu = {"text": text_use_gpu, "coarse": coarse_use_gpu, "fine": fine_use_gpu, "codec": codec_use_gpu}
    use_small = {"text": text_use_small, "coarse": coarse_use_small, "fine": fine_use_small}
    says_nothing = model is None and device == precision == "auto" and all(use_gpu.values())
    if says_nothing and not any(use_small.values()) and not force_reload and _default.loaded is not None:
        return  # as Suno's: what is loaded stays
    choice = choose_engine(
        model=None if model is None else os.fspath(model),
        device=device,
        precision=precision,
        use_gpu=use_gpu,
        use_small={stage: True for stage, wish in use_small.items() if wish},  # Suno's default is no wish
    )
    _default.load(choice, force_reload=force_reload)


def load_codec_model(use_gpu: bool = True, force_reload: bool = False) -> BarkEngine:
    """Loads the default engine and returns it: its ``decode`` and ``encode`` are the codec."""
    preload_models(
        text_use_gpu=use_gpu,
        coarse_use_gpu=use_gpu,
        fine_use_gpu=use_gpu,
        codec_use_gpu=use_gpu,
        force_reload=force_reload,
    )
    return _default.get()


def generate_audio(
    text: str,
    history_prompt: History | None = None,
    text_temp: float = 0.7,
    waveform_temp: float = 0.7,
    silent: bool = False,
    output_full: bool = False,
    **more: Any,
) -> AudioArray | tuple[FullGeneration, AudioArray]:
    """Speaks a text.

    Args:
        text: What to say; a text longer than the checkpoint's text block is cut with a warning, as by Suno.
        history_prompt: Voice: a name, a path, Suno's dictionary of arrays, or a `VoiceHistory`.
        text_temp: Temperature of stage 1.
        waveform_temp: Temperature of stage 2.
        silent: No progress bar.
        output_full: Also return the tokens, which can be a ``history_prompt`` or go to `save_as_prompt`.
        **more: ``seed``, ``semantic_seed``, ``coarse_seed``, ``fine_seed``, and any field of `RenderSettings`.

    Returns:
        (S,) float32 at `SAMPLE_RATE`; with ``output_full`` the tokens (``semantic_prompt``, ``coarse_prompt``,
        ``fine_prompt``) and the audio.

    Raises:
        BarkError: When the text is empty or a setting is out of range, when the model ends before its first token,
            or the memory does not suffice.
        VoiceFormatError: When the voice is missing, broken, or of another family of checkpoints.
        TypeError: When a keyword is unknown.
    """
    engine = _default.get()
    changes, seeds = _split_keywords(more, "generate_audio")
    settings = _settings(engine, {"semantic_temp": text_temp, "coarse_temp": waveform_temp} | changes)
    request = RenderRequest(
        text_ids=_text_ids(engine, text, settings),
        voice=_voice(history_prompt, engine),
        settings=settings,
        **seeds,
    )
    rendering = _render(engine, request, silent)
    assert rendering.audio is not None
    if output_full:
        return _full_generation(rendering), rendering.audio
    return rendering.audio


def text_to_semantic(
    text: str,
    history_prompt: History | None = None,
    temp: float = 0.7,
    silent: bool = False,
    **more: Any,
) -> Int64Array:
    """Stage 1 alone: (S,) semantic tokens of a text; arguments as for `generate_text_semantic`."""
    return generate_text_semantic(text, history_prompt=history_prompt, temp=temp, silent=silent, **more)


def semantic_to_waveform(
    semantic_tokens: NDArray[np.integer[Any]],
    history_prompt: History | None = None,
    temp: float = 0.7,
    silent: bool = False,
    output_full: bool = False,
    **more: Any,
) -> AudioArray | tuple[FullGeneration, AudioArray]:
    """Stages 2 to 4: semantic tokens to audio.

    Args:
        semantic_tokens: (S,) from `text_to_semantic`.
        history_prompt: As for `generate_audio`.
        temp: Temperature of stage 2.
        silent: No progress bar.
        output_full: Also return the tokens.
        **more: As for `generate_audio`.

    Returns:
        As `generate_audio`.

    Raises:
        BarkError: When a token is out of range, or the memory does not suffice.
        VoiceFormatError: As for `generate_audio`.
    """
    engine = _default.get()
    changes, seeds = _split_keywords(more, "semantic_to_waveform")
    request = RenderRequest(
        semantic=_tokens(semantic_tokens, 1, "semantic_tokens"),
        voice=_voice(history_prompt, engine),
        settings=_settings(engine, {"coarse_temp": temp} | changes),
        **seeds,
    )
    rendering = _render(engine, request, silent)
    assert rendering.audio is not None
    if output_full:
        return _full_generation(rendering), rendering.audio
    return rendering.audio


def generate_text_semantic(
    text: str,
    history_prompt: History | None = None,
    temp: float = 0.7,
    top_k: int | None = None,
    top_p: float | None = None,
    silent: bool = False,
    min_eos_p: float | None = 0.2,
    max_gen_duration_s: float | None = None,
    allow_early_stop: bool = True,
    use_kv_caching: bool = False,
    **more: Any,
) -> Int64Array:
    """Stage 1: (S,) semantic tokens of a text; the key-value cache is always used, tokens are the same either way.

    Raises:
        BarkError: As for `generate_audio`.
        VoiceFormatError: As for `generate_audio`.
    """
    from bark_infinity.perform.bars import RenderBars

    engine = _default.get()
    changes, seeds = _split_keywords(more, "generate_text_semantic")
    given = {
        "semantic_temp": temp,
        "semantic_top_k": top_k,
        "semantic_top_p": top_p,
        "semantic_min_eos_p": min_eos_p,
        "semantic_max_gen_duration_s": max_gen_duration_s,
        "semantic_allow_early_stop": allow_early_stop,
    }
    settings = _settings(engine, given | changes)
    request = RenderRequest(
        text_ids=_text_ids(engine, text, settings),
        voice=_voice(history_prompt, engine),
        settings=settings,
        **seeds,
    )
    with RenderBars(silent=silent) as bars:
        return engine.text_to_semantic([request], progress=bars)[0]


def generate_coarse(
    x_semantic: NDArray[np.integer[Any]],
    history_prompt: History | None = None,
    temp: float = 0.7,
    top_k: int | None = None,
    top_p: float | None = None,
    silent: bool = False,
    max_coarse_history: int = _SUNO_COARSE_HISTORY,
    sliding_window_len: int = _SUNO_WINDOW,
    use_kv_caching: bool = False,
    **more: Any,
) -> Int64Array:
    """Stage 2: (S,) semantic tokens to (n_coarse_codebooks, T) coarse tokens; see `generate_text_semantic`."""
    engine = _default.get()
    changes, seeds = _split_keywords(more, "generate_coarse")
    given = {
        "coarse_temp": temp,
        "coarse_top_k": top_k,
        "coarse_top_p": top_p,
        "coarse_max_coarse_history": None if max_coarse_history == _SUNO_COARSE_HISTORY else max_coarse_history,
        "coarse_sliding_window_len": None if sliding_window_len == _SUNO_WINDOW else sliding_window_len,
    }
    request = RenderRequest(
        semantic=_tokens(x_semantic, 1, "x_semantic"),
        voice=_voice(history_prompt, engine),
        settings=_settings(engine, given | changes),
        **seeds,
    )
    return engine.semantic_to_coarse([request])[0]


def generate_fine(
    x_coarse_gen: NDArray[np.integer[Any]],
    history_prompt: History | None = None,
    temp: float | None = 0.5,
    silent: bool = True,
    **more: Any,
) -> Int64Array:
    """Stage 3: (n_coarse_codebooks, T) coarse tokens of any length to (n_fine_codebooks, T) fine tokens."""
    engine = _default.get()
    changes, seeds = _split_keywords(more, "generate_fine")
    request = RenderRequest(
        coarse=_tokens(x_coarse_gen, 2, "x_coarse_gen"),
        voice=_voice(history_prompt, engine),
        settings=_settings(engine, {"fine_temp": temp} | changes),
        **seeds,
    )
    return engine.coarse_to_fine([request])[0]


def codec_decode(fine_tokens: NDArray[np.integer[Any]]) -> AudioArray:
    """Stage 4: (n_fine_codebooks, T) fine tokens to (S,) float32 audio."""
    return _default.get().decode([_tokens(fine_tokens, 2, "fine_tokens")])[0]


def save_as_prompt(filepath: str | os.PathLike[str], full_generation: Mapping[str, Any] | VoiceHistory) -> None:
    """Saves what ``output_full`` returned as a voice file.

    Args:
        filepath: Must end in ``.npz``; an existing file is replaced.
        full_generation: Dictionary of the three arrays, or a `VoiceHistory`.

    Raises:
        BarkError: When the name ends otherwise.
        VoiceFormatError: When it is no valid voice, or cannot be written.
    """
    path = Path(filepath)
    if path.suffix != ".npz":
        raise BarkError(f"filepath is {str(path)!r}, expected a name that ends in .npz")
    if isinstance(full_generation, VoiceHistory):
        full_generation.save(path)
        return
    engine = _default.loaded
    space = None if engine is None else engine.space
    _from_arrays(full_generation, space, "full_generation").save(path)


def list_speakers() -> list[VoiceEntry]:
    """The voices that ``history_prompt`` can name."""
    from bark_infinity.voices.catalogue import VoiceCatalogue

    return list(VoiceCatalogue().list())


def _render(engine: BarkEngine, request: RenderRequest, silent: bool) -> Rendering:
    from bark_infinity.perform.bars import RenderBars

    with RenderBars(silent=silent) as bars:
        rendering = engine.render([request], progress=bars)[0]
    if rendering.stopped == "failed":
        raise BarkError(rendering.reason or "it could not be rendered")
    if rendering.stopped == "empty":
        raise BarkError(
            f"the model ended the utterance before its first token (seed {request.stage_seed('semantic')}); "
            "try another seed or another text"
        )
    return rendering


def _full_generation(rendering: Rendering) -> FullGeneration:
    tokens = rendering.tokens
    return {"semantic_prompt": tokens.semantic, "coarse_prompt": tokens.coarse, "fine_prompt": tokens.fine}


def _split_keywords(more: Mapping[str, Any], who: str) -> tuple[dict[str, Any], _Seeds]:
    """Parts extra keywords into settings and seeds; draws the seed when none is given."""
    fields = {field.name for field in dataclasses.fields(RenderSettings)}
    unknown = sorted(set(more) - fields - set(_SEED_NAMES))
    if unknown:
        raise TypeError(
            f"{who}() got an unexpected keyword argument '{unknown[0]}'; beside Suno's it takes "
            f"{', '.join(_SEED_NAMES)} and the fields of RenderSettings"
        )
    seeds = _Seeds()
    for name in _SEED_NAMES:
        if more.get(name) is not None:
            seeds[name] = int(more[name])
    if "seed" not in seeds:
        seeds["seed"] = secrets.randbits(32)
        logger.info("%s: drew seed %d", who, seeds["seed"])
    return {name: value for name, value in more.items() if name in fields}, seeds


def _settings(engine: BarkEngine, changes: Mapping[str, Any]) -> RenderSettings:
    return dataclasses.replace(engine.default_settings, **changes)


def _text_ids(engine: BarkEngine, text: str, settings: RenderSettings) -> tuple[int, ...]:
    """Ids of a text, cut to the text block with Suno's warning."""
    if not isinstance(text, str):
        raise BarkError(f"text is a {type(text).__name__}, expected a str")
    if engine.front_end is None:
        raise BarkError(f"checkpoint {engine.source} brings no tokenizer; use BarkEngine.render with text_ids")
    encoding = engine.front_end.encode(" ".join(text.split()))
    for notice in encoding.notices:
        logger.warning("%s", notice)
    if not encoding.ids and settings.semantic_allow_early_stop:
        raise BarkError(f"the text {text[:60]!r} has nothing to say in it; expected at least one token")
    slots = engine.config.semantic.max_input_semantic_length
    if len(encoding.ids) > slots:
        lost = 100 * (len(encoding.ids) - slots) / len(encoding.ids)
        logger.warning("text too long: %d tokens, %d fit, the last %.1f%% is cut", len(encoding.ids), slots, lost)
    return encoding.ids[:slots]


def _voice(history: History | None, engine: BarkEngine) -> VoiceHistory | None:
    if history is None or isinstance(history, VoiceHistory):
        return history
    if isinstance(history, Mapping):
        return _from_arrays(history, engine.space, "history_prompt")
    from bark_infinity.voices.catalogue import VoiceCatalogue

    return _told(VoiceCatalogue().resolve(history, repair=True))


def _from_arrays(arrays: Mapping[str, Any], space: TokenSpace | None, source: str) -> VoiceHistory:
    """Suno's dictionary as a voice."""
    return _told(VoiceHistory.from_arrays(arrays, source=source, space=space or SUNO_TOKENS, repair=True))


def _told(voice: VoiceHistory) -> VoiceHistory:
    """Lengths that do not belong together are repaired, because Suno took such voices, but not silently."""
    for change in voice.repairs:
        logger.warning("voice %s: %s", voice.name or "given", change)
    return voice


def _tokens(values: object, ndim: Literal[1, 2], name: str) -> Int64Array:
    array = np.asarray(values)
    if array.ndim != ndim or array.dtype.kind not in "iu" or not array.size:
        shape = "(S,)" if ndim == 1 else "(C, T)"
        raise BarkError(f"{name} has dtype {array.dtype} and shape {array.shape}, expected integers {shape}, not empty")
    return array.astype(np.int64)
