"""A birth's judgement in plain words, for the box that opens over a card."""

from __future__ import annotations

from experiments.board.births import Birth, Births


def explained(birth: Birth, births: Births) -> str:
    """What was judged of a birth and how the total comes about."""
    score = birth.score
    lines: list[str] = []
    if birth.status == "waiting":
        return "It has not been heard yet."
    if birth.status == "failed":
        lines = [f"It failed: {birth.reason}", "A failure is never a number: it cannot win, and it has no children."]
    elif birth.status == "rejected":
        lines = [f"A gate rejected it: {birth.reason}"]
        if score is not None:
            lines += [f"  {_words(name)}: {value:.3g}" for name, value in score.evidence.items()]
    elif score is None:
        lines = [] if birth.total is None else [f"total {birth.total:.3f}"]
        lines.append("its terms are being read back")
    else:
        weights = dict(zip(births.objectives, births.weights, strict=False))
        if birth.total is not None:
            lines.append(f"total {birth.total:.3f}: the weighted mean of")
        for term in score.terms.values():
            measured = "" if term.measure is None else f"   {term.measure:.3g} {term.unit}".rstrip()
            weight = f"  × {weights[term.name]:g}" if term.name in weights else "  (not counted)"
            lines.append(f"  {_words(term.name)}  {term.value:.2f}{weight}{measured}")
        lines += [f"  {_words(name)}: unknown, {why}" for name, why in score.unknown.items()]
    if birth.voice:
        lines.append(f"voice: {birth.voice}")
    if birth.seconds:
        lines.append(f"took {birth.seconds:.1f} s")
    return "\n".join(lines)


def _words(name: str) -> str:
    return name.replace("_", " ")
