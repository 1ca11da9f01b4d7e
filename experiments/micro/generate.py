"""Plain reference inference with the trainers' own modules, for evaluation; the shipped engine lives elsewhere.

The same steps as Suno's: text and history summed into one block, windows of 60 coarse ids, fine windows, codec.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from experiments.micro import codec, gpt, layout, windows
from experiments.micro import codes as coding


@dataclass(frozen=True)
class Voice:
    """A history: semantic (S,), codes (8, T). ``None`` in the functions below means no history."""

    semantic: np.ndarray
    codes: np.ndarray


@dataclass(frozen=True)
class Sampling:
    """Temperatures and top-k. ``fine`` 0.0 takes the likeliest code."""

    semantic: float = 0.6
    semantic_top_k: int = 20
    coarse: float = 0.6
    coarse_top_k: int = 50
    fine: float = 0.0


@dataclass
class Speaker:
    """The four trained parts."""

    semantic: gpt.CausalGpt
    coarse: gpt.CausalGpt
    fine: gpt.FineGpt | None
    codec: torch.nn.Module
    sampling: Sampling = field(default_factory=Sampling)

    def say(self, ids: list[int], voice: Voice | None, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Text ids to (semantic (T2,), codes (C, T), samples float32 (S,))."""
        semantic = say_semantic(self.semantic, [ids], [voice], seed, self.sampling)[0]
        codes = self.voice_over(semantic, voice, seed)
        return semantic, codes, codec.decode(self.codec, codes)

    def voice_over(self, semantic: np.ndarray, voice: Voice | None, seed: int) -> np.ndarray:
        """Semantic tokens to codes (8, T), or (2, T) without a fine stage."""
        semantic = semantic[: len(semantic) - len(semantic) % 2]
        if len(semantic) < 2:
            return np.zeros((layout.N_COARSE, 3), np.int16)
        codes = say_coarse(self.coarse, semantic, voice, seed, self.sampling)
        return codes if self.fine is None else say_fine(self.fine, codes, voice, self.sampling, seed)


def _pick(logits: torch.Tensor, temperature: float, top_k: int, generator: torch.Generator) -> torch.Tensor:
    if temperature <= 0:
        return logits.argmax(-1)
    values, indices = (logits.float() / temperature).topk(min(top_k, logits.shape[-1]))
    chosen = torch.multinomial(values.softmax(-1), 1, generator=generator)
    return indices.gather(1, chosen)[:, 0]


@torch.no_grad()
def say_semantic(
    model: gpt.CausalGpt,
    texts: list[list[int]],
    voices: list[Voice | None],
    seed: int,
    sampling: Sampling = Sampling(),  # noqa: B008 - frozen
) -> list[np.ndarray]:
    """Semantic tokens for several texts side by side; a text that never stops has MAX_SEMANTIC tokens."""
    generator = torch.Generator().manual_seed(seed)
    text = torch.full((len(texts), layout.TEXT_BLOCK), layout.TEXT_PAD)
    history = torch.full((len(texts), layout.TEXT_BLOCK), layout.SEMANTIC_PAD)
    for row, (ids, voice) in enumerate(zip(texts, voices, strict=True)):
        ids = ids[: layout.TEXT_BLOCK]
        text[row, : len(ids)] = torch.tensor(ids) + layout.TEXT_OFFSET
        if voice is not None:
            tail = torch.from_numpy(voice.semantic[-layout.HISTORY_FRAMES :].astype(np.int64))
            history[row, layout.HISTORY_START : layout.HISTORY_START + len(tail)] = tail
    embed = model.input_embeds_layer
    infer = embed(torch.full((len(texts), 1), layout.SEMANTIC_INFER))
    caches: list[list] = [[] for _ in model.layers]
    hidden = model.hidden(torch.cat([embed(text) + embed(history), infer], 1), 0, caches)[:, -1]
    head = model.lm_head.weight[: layout.SEMANTIC_PAD + 1]
    done = torch.zeros(len(texts), dtype=torch.bool)
    made = []
    for step in range(layout.MAX_SEMANTIC):
        token = _pick(hidden @ head.T, sampling.semantic, sampling.semantic_top_k, generator)
        token[done] = layout.SEMANTIC_PAD
        made.append(token)
        done |= token == layout.SEMANTIC_PAD
        if done.all() or step == layout.MAX_SEMANTIC - 1:
            break
        hidden = model.hidden(embed(token)[:, None], layout.TEXT_BLOCK + 1 + step, caches)[:, -1]
    rows = torch.stack(made, 1).numpy()
    return [row[: (row == layout.SEMANTIC_PAD).argmax()] if (row == layout.SEMANTIC_PAD).any() else row for row in rows]


@torch.no_grad()
def say_coarse(
    model: gpt.CausalGpt,
    semantic: np.ndarray,
    voice: Voice | None,
    seed: int,
    sampling: Sampling = Sampling(),  # noqa: B008 - frozen
) -> np.ndarray:
    """Codes (2, T) of semantic tokens (S,), S even."""
    generator = torch.Generator().manual_seed(seed)
    history = windows.NO_HISTORY if voice is None else windows.coarse_history(voice.semantic, voice.codes)
    total = windows.coarse_length(len(semantic))
    made: list[int] = []
    while len(made) < total:
        prompt = windows.coarse_prompt(history, semantic.astype(np.int64), np.array(made, np.int64))
        caches: list[list] = [[] for _ in model.layers]
        ids, position = torch.from_numpy(prompt)[None], 0
        for _ in range(min(layout.COARSE_WINDOW, total - len(made))):
            hidden = model.hidden(model.input_embeds_layer(ids), position, caches)[:, -1]
            position += ids.shape[1]
            low = layout.COARSE_OFFSET + len(made) % layout.N_COARSE * layout.CODEBOOK
            logits = hidden @ model.lm_head.weight[low : low + layout.CODEBOOK].T
            ids = (low + _pick(logits, sampling.coarse, sampling.coarse_top_k, generator))[None]
            made.append(int(ids))
    return coding.unflatten(np.array(made))


@torch.no_grad()
def say_fine(
    model: gpt.FineGpt,
    coarse: np.ndarray,
    voice: Voice | None,
    sampling: Sampling = Sampling(),  # noqa: B008 - frozen
    seed: int = 0,
) -> np.ndarray:
    """Codes (8, T) whose first two rows are ``coarse`` (2, T)."""
    generator = torch.Generator().manual_seed(seed)
    known = np.zeros((layout.N_FINE, 0), np.int64) if voice is None else voice.codes[:, -layout.FINE_HISTORY :]
    n_history, n_frames = known.shape[1], coarse.shape[1]
    buffer = np.full((layout.N_FINE, max(n_history + n_frames, layout.FINE_BLOCK)), layout.FINE_PAD, np.int64)
    buffer[:, :n_history] = known
    buffer[: layout.N_COARSE, n_history : n_history + n_frames] = coarse
    filled = torch.from_numpy(buffer.T.copy())  # (T, 8)
    for window in windows.fine_windows(n_history, n_frames):
        rows = filled[window.start : window.start + layout.FINE_BLOCK]
        for book in range(layout.N_COARSE, layout.N_FINE):
            logits = model(book, rows[None])[0, window.first :, : layout.CODEBOOK]
            rows[window.first :, book] = _pick(logits, sampling.fine, layout.CODEBOOK, generator)
    return filled[n_history : n_history + n_frames].numpy().T.astype(np.int16)
