"""Who came from whom, laid out for drawing: what matters is shown, the rest is counted where it hangs.

Columns are generations, and every birth has a slot in its column, near its parents' slots; a place, once given, stays
while the birth is shown. Up to `ALL_SHOWN` births everybody is shown. Beyond that, somebody is shown while there is a
*hold* on it or on a descendant along primary lines:

* it lives, among the `MOST_LINES` best, or was born in a step that is not committed yet,
* a person likes it or pinned it, it is an ancestor or child of the birth that is looked at, or its bundle was opened.

Whoever is shown no more becomes part of the bundle of its parent, which says how many hang there. Holds are counted,
so a birth costs the same early and late in a run: it is placed once and taken away once. The control arm has no
children and is only counted.
"""

from __future__ import annotations

from array import array
from collections import Counter, deque
from collections.abc import Iterable

from evolution.interventions import Pin, Unpin
from experiments.board.births import Birth, Births
from experiments.board.model import Model
from experiments.events import Asked, Begun, Committed, Event, Intervened, Judged, Rescored, Told

ALL_SHOWN = 500
MOST_LINES = 120
MOST_ANCESTORS = 1_500  # of the birth that is looked at, the nearest
MOST_CHILDREN = 64  # of it, or of a bundle that is opened
ROOT = 0  # the bundle of founders and immigrants without living descendants
_LIKED = 0.5
_LOOK_EVERY = 32  # steps


class Tree(Model):
    """The part of the tree that is shown.

    Attributes:
        births: Facts of births.
        places: (generation, slot) of everybody shown.
        bundles: By birth, how many hang there and are not shown; at `ROOT` those that hang nowhere.
        generations: The largest generation shown.
        controls: Births of the control arm.
        looked_at: The birth whose ancestry is highlighted.
        ancestry: Its ancestors and itself.
        main_line: Its primary line: itself, its first parent, that one's first parent.
        opened: Births whose bundles are open.
    """

    def __init__(self, births: Births) -> None:
        super().__init__()
        self.births = births
        self._clear()

    def _clear(self) -> None:
        self.places: dict[int, tuple[int, int]] = {}
        self.bundles = array("i", [0])  # by birth
        self.generations = 0
        self.controls = 0
        self.looked_at: int | None = None
        self.ancestry: frozenset[int] = frozenset()
        self.main_line: frozenset[int] = frozenset()
        self.opened: dict[int, tuple[int, ...]] = {}  # with those that are held for it
        self._born_here = bytearray(1)  # by birth, whether it has been taken in
        self._holds: Counter[int] = Counter()
        self._shown_children: Counter[int] = Counter()  # along primary lines
        self._columns: dict[int, dict[int, int]] = {}  # by generation: birth by slot
        self._slots: Counter[int] = Counter()  # how many births have each slot, in all columns
        self._everybody: list[int] | None = []  # held because they are few
        self._newborn: set[int] = set()
        self._living: frozenset[int] = frozenset()
        self._liked: set[int] = set()
        self._pinned: set[int] = set()
        self._followed: tuple[int, ...] = ()
        self._steps = 0
        self._next_look = 0  # step at which to see whether the drawing became too loose

    def apply(self, event: Event) -> None:
        """Takes in births, what became of them, and what people like."""
        match event:
            case Begun():
                self._clear()
            case Asked():
                for candidate in event.candidates:
                    self._born(candidate.birth)
            case Told():
                self._born(event.candidate.birth)
            case Committed():
                self._committed(event)
            case Judged(kind="rating"):
                rating = self.births[event.one].rating if event.one in self.births else None
                self._keep(self._liked, event.one, rating is not None and rating > _LIKED)
            case Intervened(intervention=Pin(birth) | Unpin(birth)):
                self._keep(self._pinned, birth, isinstance(event.intervention, Pin))
            case Rescored():
                pass
            case _:
                return
        self.changed()

    # -- what is there ------------------------------------------------------------------------------------------

    @property
    def crowded(self) -> bool:
        """Whether bundles stand for some births."""
        return self._everybody is None

    @property
    def pinned(self) -> frozenset[int]:
        """Births that people keep alive."""
        return frozenset(self._pinned)

    def column(self, generation: int) -> Iterable[tuple[int, int]]:
        """(slot, birth) of those shown in a generation."""
        return self._columns.get(generation, {}).items()

    def slots(self, since: int = 0) -> tuple[int, int]:
        """The lowest and the highest slot in use, from a generation on."""
        if since:
            late = [slot for generation in range(since, self.generations + 1) for slot, _ in self.column(generation)]
            return (min(late), max(late)) if late else (0, 0)
        return (min(self._slots), max(self._slots)) if self._slots else (0, 0)

    def first_parent(self, birth: int) -> int | None:
        """The birth it mostly came from; always shown when the birth is."""
        return self._line(birth) or None

    def other_parents(self, birth: int) -> list[int]:
        """Its further parents, where they are shown."""
        line = self._line(birth)
        parents = self.births[birth].parents if birth in self.births else ()
        return [one.birth for one in parents if one.birth != line and one.birth in self.places]

    def children(self, birth: int) -> tuple[int, ...]:
        """Those whose first parent it is, in birth order."""
        return tuple(one for one in self.births.register.children(birth) if one in self)

    def primary_line(self, birth: int) -> tuple[int, ...]:
        """The birth, its first parent, that one's first parent, to a founder."""
        line = [birth]
        while parent := self._line(line[-1]):
            line.append(parent)
        return tuple(line)

    # -- what people do -----------------------------------------------------------------------------------------

    def look_at(self, birth: int | None) -> None:
        """Shows and highlights a birth's ancestry; None highlights nothing."""
        if birth is not None and (birth not in self or birth == self.looked_at):
            return
        if birth is None and self.looked_at is None:
            return
        before, self._followed = self._followed, ()
        self.looked_at, self.ancestry, self.main_line = birth, frozenset(), frozenset()
        if birth is not None:
            ancestors = self._ancestors(birth)
            self.ancestry = frozenset(ancestors)
            self.main_line = frozenset(self.primary_line(birth))
            self._followed = (*ancestors, *self.children(birth)[-MOST_CHILDREN:])
        for one in self._followed:  # before others are let go, so that nobody moves who stays
            self._hold(one)
        for one in before:
            self._release(one)
        self.changed()

    def open_bundle(self, birth: int) -> None:
        """Shows the latest children that a bundle stands for; opened again, they go back."""
        if birth in self.opened:
            for one in self.opened.pop(birth):
                self._release(one)
        elif self.bundles[birth]:
            hidden = [one for one in self.children(birth) if one not in self.places][-MOST_CHILDREN:]
            self.opened[birth] = tuple(hidden)
            for one in hidden:
                self._hold(one)
        self.changed()

    # -- holds --------------------------------------------------------------------------------------------------

    def __contains__(self, birth: object) -> bool:
        return isinstance(birth, int) and 0 < birth < len(self._born_here) and bool(self._born_here[birth])

    def _line(self, birth: int) -> int:
        """First parent, `ROOT` for none; the control arm has none."""
        parent = self.births.register.first_parent(birth) if birth in self and not self._is_control(birth) else ROOT
        return parent if parent in self else ROOT

    def _born(self, birth: int) -> None:
        if birth in self:
            return
        missing = birth + 1 - len(self._born_here)
        self._born_here.extend(bytes(max(missing, 0)))
        self.bundles.extend([0] * missing)
        self._born_here[birth] = 1
        if self._is_control(birth):
            self.controls += 1
            return
        parent = self._line(birth)
        if parent:
            self._show(parent)
        self._place(birth)
        self._shown_children[parent] += 1
        self._newborn.add(birth)
        self._holds[birth] += 1
        if self._everybody is not None:
            self._everybody.append(birth)
            self._holds[birth] += 1
            if len(self._everybody) > ALL_SHOWN:
                everybody, self._everybody = self._everybody, None
                for one in everybody:
                    self._release(one)
                self._lay_out_again()

    def _committed(self, event: Committed) -> None:
        known = [birth for birth in event.population if birth in self]
        if len(known) > MOST_LINES:
            known.sort(key=lambda birth: (-(self.births[birth].total or 0.0), birth))
        living = frozenset(known[:MOST_LINES])
        for birth in sorted(living - self._living):
            self._hold(birth)
        for birth in sorted(self._living - living):
            self._release(birth)
        for birth in sorted(self._newborn & event.became.keys()):
            self._newborn.remove(birth)
            self._release(birth)
        self._living = living
        self._steps += 1
        if self.crowded and self._steps >= self._next_look:
            # The more there are to place anew, the later is the next look: a birth's share of it stays the same.
            self._next_look = self._steps + max(_LOOK_EVERY, len(self.places) // 8)
            low, high = self.slots()
            if high - low > 2 * len(self._slots) + 8:
                self._lay_out_again()

    def _keep(self, kept: set[int], birth: int, wanted: bool) -> None:
        if birth not in self or wanted == (birth in kept):
            return
        if wanted:
            kept.add(birth)
            self._hold(birth)
        else:
            kept.remove(birth)
            self._release(birth)

    def _hold(self, birth: int) -> None:
        if self._is_control(birth):
            return
        self._holds[birth] += 1
        self._show(birth)

    def _release(self, birth: int) -> None:
        if self._is_control(birth):
            return
        _less(self._holds, birth)
        while birth and not self._holds[birth] and not self._shown_children[birth]:
            generation, slot = self.places.pop(birth)
            del self._columns[generation][slot]
            if not self._columns[generation]:
                del self._columns[generation]
                if generation == self.generations:
                    self.generations = max(self._columns, default=0)
            _less(self._slots, slot)
            self.opened.pop(birth, None)
            parent = self._line(birth)
            self.bundles[parent] += self.bundles[birth] + 1
            _less(self._shown_children, parent)
            birth = parent

    def _show(self, birth: int) -> None:
        path = []
        while birth and birth not in self.places:
            path.append(birth)
            birth = self._line(birth)
        for one in reversed(path):
            parent = self._line(one)
            self.bundles[parent] -= self.bundles[one] + 1
            self._shown_children[parent] += 1
            self._place(one)

    def _is_control(self, birth: int) -> bool:
        return self.births.register.operator(birth) == "control"

    def _ancestors(self, birth: int) -> list[int]:
        """The birth and its nearest ancestors through all parents."""
        found = {birth: None}
        waiting = deque([birth])
        while waiting and len(found) < MOST_ANCESTORS:
            for parent in self.births[waiting.popleft()].parents:
                if parent.birth in self and parent.birth not in found:
                    found[parent.birth] = None
                    waiting.append(parent.birth)
        return list(found)

    # -- places -------------------------------------------------------------------------------------------------

    def _place(self, birth: int) -> None:
        facts = self.births[birth]
        column = self._columns.setdefault(facts.generation, {})
        slot = _free_slot(column, self._wanted_slot(facts))
        column[slot] = birth
        self.places[birth] = facts.generation, slot
        self._slots[slot] += 1
        self.generations = max(self.generations, facts.generation)

    def _wanted_slot(self, facts: Birth) -> int:
        """The first parent's, drawn a little towards the others'."""
        slots = [self.places[one.birth][1] for one in facts.parents if one.birth in self.places]
        if not slots:
            return 0
        return round((2 * slots[0] + sum(slots[1:])) / (1 + len(slots)))

    def _lay_out_again(self) -> None:
        """Places everybody anew, generation by generation, in their order: what was let go leaves no gaps."""
        order = sorted(self.places, key=lambda birth: (*self.places[birth], birth))
        self.places, self._columns, self._slots = {}, {}, Counter()
        for birth in order:
            self._place(birth)


def _less(counts: Counter[int], one: int) -> None:
    """Counts one less; nothing is kept of those that come to nothing, because a run has many."""
    counts[one] -= 1
    if not counts[one]:
        del counts[one]


def _free_slot(column: dict[int, int], wanted: int) -> int:
    """The free slot nearest to the wanted one, the one below of two."""
    for distance in range(len(column) + 1):
        for slot in (wanted + distance, wanted - distance):
            if slot not in column:
                return slot
    raise AssertionError("a column has a free slot within its own size")
