"""``tree``: a birth's ancestors, its descendants, or how a generation came to be, as text.

Parents hang below their child with who gave most of it first; an ancestor who is met again is not drawn again. A
generation is drawn the other way: founders above, along primary lines, down to its births.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bark_infinity.error_handling import BarkError
from experiments.cli import chosen
from experiments.cli.exits import FINE
from experiments.cli.terminal import Painted, Part, Style, Terminal, counted

if TYPE_CHECKING:
    from experiments.cli.main import Verbs
    from experiments.lineage import Card, Lineage, Run

_PIECE = 500  # births per query
_STATUS_STYLES: dict[str, Style] = {"ok": "good", "rejected": "warn", "failed": "bad", "pending": "dim"}
_NARROWEST = 30  # columns left for a birth itself
_MOST_COUNTED = 10_000  # ancestors


def add(verbs: Verbs) -> None:
    """Describes the verb to the parser."""
    parser = verbs.add("tree", tree, "who came from whom: of a birth, or of a generation", json=True)
    chosen.add_file(parser)
    parser.add_argument("birth", metavar="BIRTH", type=int, nargs="?", help="whose (without: the best one's)")
    chosen.add_run(parser)
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--descendants", action="store_true", help="who came from it, instead of whom it came from")
    way.add_argument("--generation", metavar="N", type=int, help="draw how the births of a generation came to be")
    parser.add_argument("--depth", metavar="N", type=int, default=12, help="how far to follow (default: 12)")
    parser.add_argument("--limit", metavar="N", type=int, default=200, help="at most so many births (default: 200)")


def tree(args: argparse.Namespace, terminal: Terminal) -> int:
    """Draws, or lists the births it would draw."""
    if args.depth < 0 or args.limit < 1:
        raise BarkError(f"--depth is {args.depth} and --limit {args.limit}, expected at least 0 and 1")
    if args.generation is not None and args.birth is not None:
        raise BarkError("a birth and a generation were given; draw one of them")
    with chosen.view(args.file) as lineage:
        run = chosen.chosen_run(lineage, args.run)
        if args.generation is not None:
            picture = _of_generation(lineage, run, args.generation, args.limit)
        else:
            birth = chosen.best_birth(lineage, run) if args.birth is None else args.birth
            around = _children if args.descendants else _parents
            picture = _walked(lineage, run, birth, around, args.depth, args.limit)
        if args.json:
            births = [_facts(picture.cards[birth]) for birth in sorted(picture.cards)]
            terminal.json({"run": run.name, "roots": list(picture.roots), "births": births})
            return FINE
        _draw(picture, terminal)
        again = chosen.command("tree", lineage.path, run, runs=lineage.runs())
        if picture.cut:
            terminal.say(f"not all is drawn; follow one with: {again} BIRTH, or draw more with --depth and --limit")
        if args.generation is None and not args.descendants:
            terminal.say(_summary(lineage, run, birth))
    return FINE


# -- what to draw -------------------------------------------------------------------------------------------------


@dataclass
class _Picture:
    """Births to draw, by number, and what hangs below each."""

    cards: dict[int, Card]
    below: dict[int, list[int]]
    roots: list[int]
    cut: bool = False  # whether something was left out


Around = Callable[["Lineage", "Run", "Sequence[Card]"], dict[int, list[int]]]


def _parents(lineage: Lineage, run: Run, cards: Sequence[Card]) -> dict[int, list[int]]:
    return {card.birth: list(dict.fromkeys(card.parents)) for card in cards}


def _children(lineage: Lineage, run: Run, cards: Sequence[Card]) -> dict[int, list[int]]:
    from experiments.lineage import ancestry

    return {card.birth: ancestry.children(lineage, run.run_id, card.birth) for card in cards}


def _walked(lineage: Lineage, run: Run, birth: int, around: Around, depth: int, limit: int) -> _Picture:
    """Level by level, each birth once."""
    picture = _Picture(_cards(lineage, run, [birth]), {}, [birth])
    if not picture.cards:
        raise BarkError(f"run {run.name!r} has no birth {birth}; it has {lineage.last_birth(run.run_id)}")
    level = [birth]
    for _ in range(depth):
        found = around(lineage, run, [picture.cards[one] for one in level])
        wanted = [one for others in found.values() for one in others if one not in picture.cards]
        room = limit - len(picture.cards)
        level = list(dict.fromkeys(wanted))
        picture.cut |= len(level) > room
        level = level[: max(0, room)]
        picture.cards |= _cards(lineage, run, level)
        for one, others in found.items():
            picture.below[one] = [other for other in others if other in picture.cards]
        if not level:
            return picture
    picture.cut |= any(around(lineage, run, [picture.cards[one] for one in level]).values())
    return picture


def _of_generation(lineage: Lineage, run: Run, generation: int, limit: int) -> _Picture:
    """The first births of a generation, and all whom they descend from along primary lines."""
    from experiments.lineage import browse

    page = browse.page(lineage, run.run_id, generation=generation, size=limit + 1)
    if not page:
        raise BarkError(f"run {run.name!r} has no birth of generation {generation}")
    picture = _Picture({card.birth: card for card in page[:limit]}, {}, [], cut=len(page) > limit)
    level = list(picture.cards.values())
    while level:
        first = {card.birth: card.parents[0] for card in level if card.parents}
        picture.roots += [card.birth for card in level if not card.parents]
        for child, parent in first.items():
            picture.below.setdefault(parent, []).append(child)
        new = _cards(lineage, run, [parent for parent in set(first.values()) if parent not in picture.cards])
        picture.cards |= new
        level = list(new.values())
    picture.roots.sort()
    for children in picture.below.values():
        children.sort()
    return picture


def _cards(lineage: Lineage, run: Run, births: Sequence[int]) -> dict[int, Card]:
    from experiments.lineage import browse

    found: dict[int, Card] = {}
    for begin in range(0, len(births), _PIECE):
        for card in browse.cards(lineage, run.run_id, births[begin : begin + _PIECE]):
            found[card.birth] = card
    return found


# -- drawing ------------------------------------------------------------------------------------------------------


def _draw(picture: _Picture, terminal: Terminal) -> None:
    """Draws every root; without recursion, because a line may be longer than Python's stack."""
    bend, tee, line, blank = ("└─ ", "├─ ", "│  ", "   ") if terminal.boxes else ("`- ", "|- ", "|  ", "   ")
    drawn: set[int] = set()
    todo = [(root, "", "") for root in reversed(picture.roots)]  # birth, before it, before what is below it
    while todo:
        birth, before, indent = todo.pop()
        below = picture.below.get(birth, [])
        if terminal.width and below and len(indent) + _NARROWEST > terminal.width:
            below, picture.cut = [], True
        again = birth in drawn and bool(below)
        terminal.say(Painted(before, "dim"), *_line(picture.cards[birth], again), cut=True)
        if again:
            continue
        drawn.add(birth)
        for place, other in reversed(list(enumerate(below))):
            is_last = place == len(below) - 1
            todo.append((other, indent + (bend if is_last else tee), indent + (blank if is_last else line)))


def _line(card: Card, again: bool) -> list[Part]:
    style = _STATUS_STYLES.get(card.status, "dim")
    parts: list[Part] = [Painted(f"#{card.birth}", "bold"), f" {card.operator}  "]
    parts.append(Painted(card.status if card.total is None else f"{card.total:.4f}", style))
    if again:
        return [*parts, Painted("  (drawn above)", "dim")]
    voice = "" if card.voice_sha256 is None else f"  voice {card.voice_sha256[:8]}"
    return [*parts, Painted(voice, "dim"), f"  {card.prompt}"]


def _summary(lineage: Lineage, run: Run, birth: int) -> str:
    from experiments.lineage import ancestry

    known = ancestry.ancestors(lineage, run.run_id, birth, limit=_MOST_COUNTED)
    count = counted(len(known), "ancestor") if len(known) < _MOST_COUNTED else f"{_MOST_COUNTED:,} or more ancestors"
    line = ancestry.primary_line(lineage, run.run_id, birth)
    if len(line) == 1:
        return f"#{birth} has no ancestors"
    return f"#{birth} has {count}; its primary line is {len(line):,} long and begins with #{line[-1]}"


def _facts(card: Card) -> dict[str, Any]:
    return {**vars(card), "terms": dict(card.terms), "parents": list(card.parents)}
