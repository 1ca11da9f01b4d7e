"""Command line of the micro-Bark recipe; ``python -m experiments.micro --help`` lists the steps."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

STAGES = ("codec", "semantic", "coarse", "fine", "decoder")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m experiments.micro", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        step = steps.add_parser(name, help=text, description=text)
        step.add_argument("--out", type=Path, required=True, help="directory for data, logs and checkpoints")
        step.add_argument("--seed", type=int, default=1)
        return step

    add("corpus", "generate the labelled speech")
    add("encode", "turn the corpus into codec tokens; from here on encoder and codebooks are fixed")
    for stage in STAGES:
        step = add(f"train-{stage}", f"train the {stage} stage; continues from its checkpoint")
        step.add_argument("--cpu-minutes", type=float, required=True, help="length of the schedule in CPU time")
        step.add_argument("--restart", action="store_true", help="begin a new schedule from the trained weights")
        step.add_argument("--device", default="cpu")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs one step; returns the exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stdout)
    from experiments.micro import corpus

    plan = corpus.CorpusPlan(seed=options.seed)
    if options.step == "corpus":
        corpus.generate(options.out / "corpus", plan)
    elif options.step == "train-codec":
        from experiments.micro import train_codec
        from experiments.micro.training import Schedule

        schedule = Schedule(options.cpu_minutes * 60, 1e-3, 100, betas=(0.8, 0.99), weight_decay=1e-3)
        train_codec.train(options.out, schedule, options.seed, options.restart)
    elif options.step == "train-semantic":
        from experiments.micro import train_semantic
        from experiments.micro.training import Schedule

        schedule = Schedule(options.cpu_minutes * 60, 1.5e-3 if options.restart else 2.5e-3)
        train_semantic.train(options.out, schedule, options.seed, options.restart)
    elif options.step == "encode":
        from experiments.micro import codec, codes

        codes.encode_corpus(options.out / "corpus", options.out / "codes", codec.load(options.out))
    elif options.step in ("train-coarse", "train-fine"):
        from experiments.micro import train_coarse, train_fine
        from experiments.micro.training import Schedule

        stage = train_coarse if options.step == "train-coarse" else train_fine
        schedule = Schedule(options.cpu_minutes * 60, 1.6e-3 if options.restart else 2.5e-3, 100)
        stage.train(options.out, schedule, options.seed, options.restart)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
