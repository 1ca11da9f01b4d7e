"""Command line of the micro-Bark recipe: ``python -m experiments.micro --help`` lists the steps.

``train`` runs everything: corpus, codec and semantic stage side by side, then the coarse stage beside what fills in
the other codebooks (expectation, fine stage, decoder). Every step continues where it stopped; ``--hours`` is the
wall-clock time on two free cores.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path

ASSET = Path(__file__).resolve().parents[2] / "bark_infinity" / "assets" / "micro"
STAGES = ("codec", "semantic", "coarse", "expectation", "fine", "decoder")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m experiments.micro", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        step = steps.add_parser(name, help=text, description=text)
        step.add_argument("--out", type=Path, required=True, help="directory for data, logs and checkpoints")
        step.add_argument("--seed", type=int, default=1)
        return step

    whole = add("train", "the whole recipe, then pack; continues an earlier run in --out")
    whole.add_argument("--hours", type=float, default=3.0, help="wall-clock time on two free cores")
    whole.add_argument("--device", default="cpu", help="cpu or cuda")
    whole.add_argument("--asset", type=Path, help="where to pack the result; default: <out>/asset")
    add("corpus", "generate the labelled speech")
    add("encode", "turn the corpus into codec tokens; from here on encoder and codebooks are fixed")
    for stage in STAGES:
        step = add(f"train-{stage}", f"train the {stage} stage; continues from its checkpoint")
        step.add_argument("--cpu-minutes", type=float, required=True, help="length of the schedule in CPU time")
        step.add_argument("--restart", action="store_true", help="begin a new schedule from the trained weights")
        step.add_argument("--device", default="cpu", help="cpu or cuda")
    pack = add("pack", "write the model, its voices and its text front end")
    pack.add_argument("--asset", type=Path, default=ASSET)
    snapshot = add("snapshot", "write half-precision weights of all stages that a later run can start from")
    snapshot.add_argument("--target", type=Path, default=Path(__file__).parent / "checkpoints")
    measure = add("evaluate", "measure every bar on a packed model")
    measure.add_argument("--asset", type=Path, default=ASSET)
    measure.add_argument("--phrases", type=int, default=128)
    measure.add_argument("--only", help="some parts, separated by commas: codec,acoustic,speech,everyday,rate,speed")
    measure.add_argument("--report", type=Path, help="JSON file for all figures")
    measure.add_argument("--card", action="store_true", help="write the figures and the model card into the asset")
    write_card = add("card", "write the model card from the reports of one evaluation, possibly done in parts")
    write_card.add_argument("--asset", type=Path, default=ASSET)
    write_card.add_argument("--reports", type=Path, nargs="+", required=True)
    return parser


def _run(options: argparse.Namespace) -> int:
    """Runs one step; the heavy modules are imported by the step that needs them."""
    if options.step == "train":
        from experiments.micro import whole

        whole.train(options.out, options.hours, options.seed, options.device, options.asset or options.out / "asset")
    elif options.step == "corpus":
        from experiments.micro import corpus

        corpus.generate(options.out / "corpus", corpus.CorpusPlan(seed=options.seed))
    elif options.step == "encode":
        from experiments.micro import codec, codes

        codes.encode_corpus(options.out / "corpus", options.out / "codes", codec.load(options.out))
    elif options.step.startswith("train-"):
        from experiments.micro import whole

        stage = options.step.removeprefix("train-")
        whole.train_stage(stage, options.out, options.cpu_minutes, options.seed, options.restart, options.device)
    elif options.step == "pack":
        from experiments.micro import pack

        pack.write(options.out, options.asset, options.seed)
    elif options.step == "snapshot":
        from experiments.micro import snapshot

        snapshot.write(options.out, options.target, options.seed)
    elif options.step == "evaluate":
        from experiments.micro import card, evaluate, snapshot

        parts = tuple(options.only.split(",")) if options.only else evaluate.PARTS
        bars, figures = evaluate.evaluate(options.asset, options.out, options.phrases, parts)
        report = evaluate.report_of(bars, figures)
        if options.report is not None:
            options.report.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        if options.card:
            card.write(options.asset, report, snapshot.progress_of(options.out))
        return 0 if all(bar.met for bar in bars) else 1
    elif options.step == "card":
        from experiments.micro import card, snapshot

        reports = [json.loads(path.read_text(encoding="utf-8")) for path in options.reports]
        card.write(options.asset, card.merged(reports), snapshot.progress_of(options.out))
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Runs one step; returns the exit status (``evaluate``: 1 when a bar is missed)."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stdout)
    return _run(options)


if __name__ == "__main__":
    raise SystemExit(main())
