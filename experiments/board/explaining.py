"""A birth's judgement in plain words, for the box that opens over a card."""

from __future__ import annotations

from experiments.board.births import Birth, Births


def explained(birth: Birth, births: Births) -> str:
    """What was judged of a birth and how the total comes about."""
    score = birth.score
    if score is None:
        return "It has not been heard yet."
    lines: list[str] = []
    if score.status == "failed":
        lines = [f"It failed: {score.reason}", "A failure is never a number: it cannot win, and it has no children."]
    elif score.status == "rejected":
        lines = [f"A gate rejected it: {score.reason}"]
        lines += [f"  {_words(name)}: {value:.3g}" for name, value in score.evidence.items()]
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
    spent = sum(birth.seconds.values())
    if spent:
        lines.append(f"took {spent:.1f} s")
    return "\n".join(lines)


def _words(name: str) -> str:
    return name.replace("_", " ")
