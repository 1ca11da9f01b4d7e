"""The tree of births: drag to pan, wheel to zoom, click to look at one, click twice to hear it."""

from __future__ import annotations

import time

import dearpygui.dearpygui as dpg

from experiments.board.board import Board
from experiments.board.text import shortened
from experiments.board.tree_view import Bundle, Camera, Link, Node, Scene, scene
from window.canvas import Canvas
from window.palette import Colour, faded
from window.panel import Desk, Item

_HEAD = 30
_DRAG = 5  # pixels from which a click is a drag
_TWICE_S = 0.6  # between two clicks that play
_BUSY_NODES = 60
_BUSY_S = 0.25  # between drawings of a large tree while births come in
_STRAIGHT = 16.0  # pixels of a generation below which links are straight


class LineagePanel:
    """A drawing as large as its region; the camera is here, the tree is the board's."""

    def build(self, parent: Item, desk: Desk) -> None:
        """See `Panel`."""
        self._desk = desk
        self._width = self._height = 0
        self._shown: tuple[object, ...] = ()
        self._drawn_at = 0.0
        self._board: Board | None = None
        self._camera = Camera()
        self._scene: Scene | None = None
        self._over: Node | Bundle | None = None
        self._pressed: tuple[float, float] | None = None
        self._last = (0.0, 0.0)
        self._dragged = False
        self._clicked = (0, (0.0, 0.0), 0.0)  # which birth, where, and when
        self._fitted: tuple[int, ...] = ()
        p = desk.palette
        caption = dpg.add_text("Lineage", parent=parent, color=p.muted, pos=(desk.px(12), desk.px(7)))
        dpg.bind_item_font(caption, desk.font("L", "small"))
        self._said = dpg.add_text("", parent=parent, color=p.faint)
        dpg.bind_item_font(self._said, desk.font("0", "small"))
        self._buttons = [
            dpg.add_button(label=label, parent=parent, tag=f"lineage.{name}", callback=self._zoom, user_data=name)
            for name, label in (("in", "+"), ("out", "−"), ("fit", "fit"))
        ]
        hints = ("nearer (wheel up)", "further (wheel down)", "all that is shown, and follow the run")
        for item, hint in zip(self._buttons, hints, strict=True):
            dpg.bind_item_theme(item, desk.theme("quiet"))
            dpg.bind_item_font(item, desk.font(dpg.get_item_label(item) or ""))
            with dpg.tooltip(item, delay=0.4):
                dpg.add_text(hint)
        self._canvas = Canvas(parent, desk, "lineage.drawing")
        self._back = dpg.add_draw_layer(parent=self._canvas.item)
        self._front = dpg.add_draw_layer(parent=self._canvas.item)
        with dpg.item_handler_registry() as clicks:
            dpg.add_item_clicked_handler(dpg.mvMouseButton_Left, callback=self._press)
        dpg.bind_item_handler_registry(self._canvas.item, clicks)
        if not dpg.does_item_exist("lineage.wheel"):
            with dpg.handler_registry(tag="lineage.wheel"):
                dpg.add_mouse_wheel_handler(tag="lineage.wheel.turned")
        dpg.set_item_callback("lineage.wheel.turned", self._wheel)
        desk.every_frame(self._follow_mouse)

    def resize(self, width: int, height: int) -> None:
        """See `Panel`."""
        self._width, self._height = width, height
        self._shown = ()
        px = self._desk.px
        self._canvas.move(px(2), px(_HEAD), width - px(4), height - px(_HEAD + 2))
        x = width - px(8)
        for item, wide in zip(reversed(self._buttons), (34, 26, 26), strict=True):
            x -= px(wide + 2)
            dpg.configure_item(item, pos=(x, px(4)), width=px(wide), height=px(22))
        dpg.configure_item(self._said, pos=(px(72), px(7)))

    def show(self, board: Board) -> None:
        """See `Panel`."""
        if board is not self._board:
            self._over = None
        self._board = board
        board.tree.look_at(board.selection.birth)
        now = (board.tree.revision, board.selection.revision, self._camera, self._width, self._height)
        if now == self._shown or self._width <= 1:
            return
        crowded = self._scene is not None and len(self._scene.nodes) > _BUSY_NODES
        only_births = bool(self._shown) and now[1:] == self._shown[1:]
        if crowded and only_births and time.perf_counter() - self._drawn_at < _BUSY_S:
            return
        width, height = self._canvas.width, self._canvas.height
        fitted = (board.births.revision, width, height)
        if self._camera.follows and fitted != self._fitted:  # not when only another birth is looked at
            self._camera, self._fitted = self._camera.fitted(board.tree, width, height), fitted
        self._shown = (*now[:2], self._camera, *now[3:])
        self._drawn_at = time.perf_counter()
        self._scene = scene(board.tree, self._camera, width, height)
        self._draw(self._scene, board)
        self._draw_front()
        self._tell(board)

    # -- drawing ------------------------------------------------------------------------------------------------

    def _draw(self, seen: Scene, board: Board) -> None:
        p, px = self._desk.palette, self._desk.px
        dpg.delete_item(self._back, children_only=True)
        canvas, height = self._canvas, self._canvas.height
        for x, generation in seen.generations:
            dpg.draw_line((x, 0), (x, height - px(17)), parent=self._back, color=faded(p.line, 70))
            canvas.text(x, height - px(17), str(generation), p.faint, parent=self._back, middle=True)
        curved = self._camera.scale_x >= _STRAIGHT and len(seen.links) < 700
        chosen = bool(board.tree.ancestry)
        for link in seen.links:
            self._draw_link(link, curved, chosen)
        for bundle in seen.bundles:
            if bundle.written:
                label = f"+{bundle.count}" if bundle.count else "-"
                tone = p.accent if bundle.opened else p.faint
                canvas.text(bundle.x, bundle.y - px(7), label, tone, parent=self._back, middle=True)
            else:
                end = (bundle.x, bundle.y + px(3))
                dpg.draw_line((bundle.x, bundle.y - px(1)), end, parent=self._back, color=p.faint)
        for node in seen.nodes:
            self._draw_node(node, chosen)
        if not seen.nodes:
            said = "The tree grows from the first births." if not len(board.births) else "Drag to pan, or press fit."
            canvas.text(px(12), px(10), said, p.muted, parent=self._back)

    def _draw_link(self, link: Link, curved: bool, chosen: bool) -> None:
        p = self._desk.palette
        if link.main:
            colour, thick = p.accent, self._desk.px(2)
        elif link.ancestor:
            colour, thick = faded(p.accent, 130 if link.first else 90), 1
        else:
            faint = 70 if chosen else 110 if link.first else 55
            colour, thick = faded(p.muted, faint if link.first else faint // 2), 1
        begin, end = (link.from_x, link.from_y), (link.to_x, link.to_y)
        if not curved or abs(link.from_y - link.to_y) < 1.5:
            dpg.draw_line(begin, end, parent=self._back, color=colour, thickness=thick)
            return
        bend = (link.to_x - link.from_x) * 0.5
        dpg.draw_bezier_cubic(begin, (begin[0] + bend, begin[1]), (end[0] - bend, end[1]), end, parent=self._back,
                              color=colour, thickness=thick, segments=7)  # fmt: skip

    def _draw_node(self, node: Node, chosen: bool) -> None:
        p = self._desk.palette
        opacity = 255 if not chosen or node.ancestor or node.living else 130
        centre, radius = (node.x, node.y), node.radius
        clear: Colour = (0, 0, 0, 0)
        if node.status == "waiting":
            dpg.draw_circle(centre, radius, parent=self._back, color=p.faint, fill=p.panel, segments=12)
        elif node.status != "ok":
            tone = faded(p.warn if node.status == "rejected" else p.bad, opacity)
            reach = max(radius * 0.6, 1.2)
            for sign in (1, -1):
                dpg.draw_line((node.x - reach, node.y - sign * reach), (node.x + reach, node.y + sign * reach),
                              parent=self._back, color=tone)  # fmt: skip
        else:
            fill = p.ramp(node.total or 0.0, opacity)
            segments = 7 if radius < 3.5 else 14
            dpg.draw_circle(centre, radius, parent=self._back, color=clear, fill=fill, segments=segments)
            if node.living and radius >= 3:
                dpg.draw_circle(centre, radius, parent=self._back, color=p.text, segments=segments)
        if node.best or node.looked_at:
            tone = p.accent if node.looked_at else p.text
            dpg.draw_circle(centre, radius + 3, parent=self._back, color=tone, thickness=1.5, segments=20)
        if node.marked:
            dpg.draw_circle((node.x, node.y - radius - 3), 1.8, parent=self._back, color=clear, fill=p.good, segments=8)

    def _draw_front(self) -> None:
        p, px, canvas = self._desk.palette, self._desk.px, self._canvas
        dpg.delete_item(self._front, children_only=True)
        over, board = self._over, self._board
        if over is None or board is None:
            return
        if isinstance(over, Bundle):
            label = "close" if over.opened and not over.count else f"{over.count} more hang here"
            at = (over.x, over.y)
        else:
            if over.birth not in board.births:
                return
            facts = board.births[over.birth]
            total = (
                "waiting"
                if facts.status == "waiting"
                else facts.status
                if facts.total is None
                else f"{facts.total:.3f}"
            )
            label = f"#{over.birth}  {facts.operator.replace('_', ' ')}  {total}"
            at = (over.x, over.y)
            dpg.draw_circle(at, over.radius + 3, parent=self._front, color=p.text, segments=20)
        wide = self._desk.width(label, "latin", "small") + px(14)
        x = min(max(at[0] + px(10), 0), max(canvas.width - wide, 0))
        y = at[1] + px(10) if at[1] + px(34) < canvas.height else at[1] - px(32)
        dpg.draw_rectangle(
            (x, y), (x + wide, y + px(21)), parent=self._front, color=p.line, fill=p.card, rounding=px(4)
        )
        canvas.text(x + px(7), y + px(2), label, p.text, parent=self._front)

    def _tell(self, board: Board) -> None:
        tree, desk = board.tree, self._desk
        parts = [f"{len(tree.places)} births"]
        if tree.crowded:
            hidden = len(board.births) - tree.controls - len(tree.places)
            parts = [f"{len(tree.places)} of {len(tree.places) + hidden} births, the rest in bundles"]
        if tree.controls:
            parts.append(f"control arm of {tree.controls} not drawn")
        if tree.looked_at is not None:
            parts.append(f"#{tree.looked_at} has {len(tree.ancestry) - 1} ancestors")
        said = shortened(
            " · ".join(parts), self._width - desk.px(200), lambda one, script: desk.width(one, script, "small")
        )
        dpg.set_value(self._said, said)

    # -- the mouse ----------------------------------------------------------------------------------------------

    def _press(self) -> None:
        self._pressed = self._last = self._canvas.mouse()
        self._dragged = False

    def _follow_mouse(self) -> None:
        if self._scene is None or self._board is None:
            return
        if self._pressed is not None:
            self._drag()
            return
        over = self._scene.under(*self._canvas.mouse()) if self._canvas.hovered() else None
        if over != self._over:
            self._over = over
            self._draw_front()

    def _drag(self) -> None:
        x, y = self._canvas.mouse()
        begin = self._pressed or (x, y)
        if not dpg.is_mouse_button_down(dpg.mvMouseButton_Left):
            self._pressed = None
            if not self._dragged:
                self._click(begin)
            return
        far = abs(x - begin[0]) + abs(y - begin[1]) > self._desk.px(_DRAG)
        if self._dragged or far:
            self._dragged = True
            if (x, y) != self._last:
                self._camera = self._camera.panned(x - self._last[0], y - self._last[1])
        self._last = (x, y)

    def _click(self, at: tuple[float, float]) -> None:
        if self._scene is None or self._board is None:
            return
        under = self._scene.under(*at)
        now = time.perf_counter()
        before, where, when = self._clicked
        self._clicked = (under.birth if isinstance(under, Node) else 0, at, now)
        near = abs(at[0] - where[0]) + abs(at[1] - where[1]) <= self._desk.px(_DRAG)
        if before and near and now - when < _TWICE_S:  # the first click may have moved the tree
            self._desk.play(before)
        elif isinstance(under, Bundle):
            self._board.tree.open_bundle(under.birth)
        else:
            self._desk.select(None if under is None else under.birth)

    def _wheel(self, _sender: Item, turns: float) -> None:
        if self._scene is not None and self._canvas.hovered():
            self._camera = self._camera.zoomed(1.15**turns, *self._canvas.mouse())

    def _zoom(self, _sender: Item, _data: object, name: str) -> None:
        if name == "fit":
            self._camera, self._fitted, self._shown = Camera(), (), ()
        else:
            factor = 1.3 if name == "in" else 1 / 1.3
            self._camera = self._camera.zoomed(factor, self._canvas.width / 2, self._canvas.height / 2)
