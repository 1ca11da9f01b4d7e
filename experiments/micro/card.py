"""The model card, written from what evaluation measured, so that it cannot say anything else."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from experiments.micro import layout
from experiments.micro.corpus import CorpusPlan

HOURS_PER_SHARD = 0.21
REPORT_NAME = "measures.json"

_HEAD = """# micro-Bark

A tiny genuine Bark: the four parts and file formats of Suno's text-to-audio model, {parameters:.1f} million parameters,
trained from scratch on speech that espeak-ng synthesised. It speaks short English text, robotically, in the voice of
its history. It is the embedded default of Victor Bark Fusion, so that a fresh offline machine has something real to run
and tests have a voice to listen to. It is no substitute for Suno's models: no other languages, no music, no laughter.

## Use

```python
from bark_infinity import BarkEngine, RenderRequest, VoiceHistory

engine = BarkEngine.load("micro")
voice = VoiceHistory.load("bark_infinity/assets/micro/voices/helen.npz")
audio = engine.render([RenderRequest(text="The red dog runs today.", voice=voice, seed=1)])[0].audio  # 24 kHz
```

transformers' `BarkModel.from_pretrained` loads the directory too; its text front end (phones) is ours. Texts of up to
about fifteen words fit; longer ones belong in the long-form splitter. The decoded audio lags the tokens by 13 ms
({delay} samples): the causal codec speaks one frame late.

## Data

Generated, never downloaded, not shipped: {hours:.0f} hours of labels and {audio_hours:.0f} hours of audio by
espeak-ng 1.51 (American English), 1200 random voice definitions and 18 of espeak-ng's own variants, 120 to 225 words a
minute. Text: templates, strings of frequent words that follow each other as in English, strings of rare dictionary
words. Held out from training: variants m3 and f2, voices with a median pitch of 150 to 170 Hz, one in fifty rarer
words, two sentence shapes, one in four template phrases, and the everyday sentences of the test.

Semantic tokens are not learned but labelled: phone, frames remaining, relative pitch, 50 a second, taken from
espeak-ng's own events. That is why so small a model suffices, and why it says only what espeak-ng could say.

## Recipe

`python -m experiments.micro train --out DIR --hours H` (two CPU cores). Codec: EnCodec, causal, 75 frames a second, 8
codebooks of 512. Semantic and coarse stage: 4 layers of width 160; fine stage: 3 of width 128. What this checkpoint
was given: {spent}. Details and reasons: `docs/micro_bark.md`.

## Measures

By `python -m experiments.micro evaluate` through the shipped engine: speakers never trained on, phrases never trained
on, half of them of a shape never trained on; pocketsphinx with a grammar is the judge. One standard error on the words
of {n} phrases is about {error:.3f}. No person has judged it.

| | measured | bar | |
| --- | --- | --- | --- |
{bars}

{details}

How to read them. All are of this packing, and of its first measurement on these phrases. The coarse stage's temperature
was chosen on 96 other phrases (0.943 of words and 0.823 whole phrases at 0.5, 0.934 and 0.781 at 0.4, 0.952 and 0.802
at 0.6); on those the own voice's median timbre rank was 0.089 (espeak-ng's own recordings: 0.031). The control skips
its text stage and is given random semantic tokens of the true length. Phones are counted against espeak-ng's own
labels, which is what the model was trained on. The shipped voices are harder than the test's speakers. Where speech is
voiced in the original, 86 % of it is voiced here; in 3 % of it the codec's frame rate, 75 Hz, is taken for the pitch.

## Limits

English only, read through a pronouncing dictionary without stress marks; homographs get one pronunciation. Bark's tags
([laughs], ♪ ...) are ignored with a notice. Without a voice, who speaks is drawn at random. Very high and very low
voices and whispers are less intelligible. Speech is as flat as espeak-ng's.

## Licences

Weights and voices: MIT, as the program; every sound they learned from was synthesised for them. The pronouncing
dictionary (and the letter rules learned from it) is derived from the CMU dictionary in the pocketsphinx package:
`LICENSE-cmudict.txt`. espeak-ng itself (GPL-3) was used as a program; none of it is included.
"""


def merged(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """One report from those of an evaluation that was done in parts."""
    figures: dict[str, Any] = {}
    for report in reports:
        figures.update(report["figures"])
    return {"bars": [bar for report in reports for bar in report["bars"]], "figures": figures}


def write(asset: Path, report: dict[str, Any], progress: dict[str, dict[str, float]]) -> None:
    """Writes ``measures.json`` and ``README.md``.

    Args:
        asset: The packed model.
        report: What `evaluate` returned as figures and bars.
        progress: How long each stage was trained, see `snapshot.progress_of`.
    """
    figures, plan = report["figures"], CorpusPlan()
    stages = []
    for name, told in progress.items():
        spent = f"{told['cpu_seconds'] / 60:.0f} CPU-minutes"
        since = f"the last {spent} of them after a warm restart" if told["schedules_done"] else spent
        stages.append(f"{name} {told['step']:.0f} steps ({since})")
    rows = [
        f"| {bar['name']} | {bar['value']:.3f} | {'>=' if bar['at_least'] else '<='} {bar['bar']:.3g} "
        f"| {'met' if bar['met'] else '**missed**'} |"
        for bar in report["bars"]
    ]
    n = int(figures["original"]["n"])
    words = figures["text_to_speech"]["words"]
    ceiling, unseen = figures["original"], figures["text_to_speech_held_out_shapes"]
    details = (
        f"Ceiling: espeak-ng's own recordings of the same {n} phrases score {ceiling['words']:.3f} of words and "
        f"{ceiling['phrases']:.3f} whole phrases. Content words only: {figures['text_to_speech']['content_words']:.3f} "
        f"(ceiling {ceiling['content_words']:.3f}). "
        f"Phrases of a shape never trained on: {unseen['words']:.3f} of words. "
        f"All figures: `{REPORT_NAME}`."
    )
    text = _HEAD.format(
        parameters=_parameters(asset) / 1e6,
        delay=layout.SAMPLES_PER_FRAME,
        hours=plan.label_shards * HOURS_PER_SHARD,
        audio_hours=plan.audio_shards * HOURS_PER_SHARD,
        spent="; ".join(stages),
        n=n,
        error=(words * (1 - words) / (4 * n)) ** 0.5,
        bars="\n".join(rows),
        details=details,
    )
    (asset / "README.md").write_text(text, encoding="utf-8")
    (asset / REPORT_NAME).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _parameters(asset: Path) -> int:
    from safetensors import safe_open

    with safe_open(asset / "model.safetensors", framework="np") as file:
        names = [name for name in file.keys() if not name.endswith("embed_avg")]  # noqa: SIM118 - not a dict
        return sum(math.prod(file.get_slice(name).get_shape()) for name in names)
