"""Pictures of codebooks and of coded images; Matplotlib is imported when one is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import CodebookError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .codebook import Codebook
    from .reference_books import ReferencePlane
    from .shapes import ShapeSet
    from .tracing import Trace, TracedContextPlane, TracedPlane

    Shapes = ShapeSet | ReferencePlane

EXTRA = "pip install 'softcomp-codec[bench]'"

N_COLUMNS = 14
"""Shapes in a row of a codebook's picture."""

SMALL_SIDE = 64
"""Images up to this size are drawn without an enlarged part."""

ZOOM_SIDE = 40
"""Side of the part that is drawn enlarged."""

INK, QUIET, LINE = "#2b2f36", "#6b7480", "#d5dae0"
PART_COLOURS = {
    "low layer": "#7d93a8",
    "shapes": "#b8336a",
    "locations": "#e08e45",
    "zero or not": "#5b7fa3",
    "signs": "#e08e45",
    "sizes": "#b8336a",
    "header and settings": "#c6ccd3",
    "stored samples": "#7d93a8",
}
OUTLINES = ("#b8336a", "#1f77b4", "#2a9d55", "#e07b00", "#7b4fb5", "#008b9a")


def require_matplotlib() -> None:
    """Raise ``ImportError`` with what to install where Matplotlib is missing."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ImportError(f"drawing needs Matplotlib: {EXTRA}") from error


# ---- Codebooks -----------------------------------------------------------------------------------


def draw_codebook(book: Codebook, *, n_rows: int | None = None) -> bytes:
    """Return a PNG of a codebook's commonest shapes, those with the shortest codewords.

    Parameters
    ----------
    book : Codebook
    n_rows : int, optional
        Rows of `N_COLUMNS` shapes for each plane; by default 5, or 3 where there are several.

    Raises
    ------
    ImportError
        Matplotlib is missing.
    CodebookError
        It has no shapes.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    named = _named_shapes(book)
    if not named:
        raise CodebookError(f"codebook {book.name!r} holds priors, but no shapes to draw")
    n_rows = n_rows or (5 if len(named) == 1 else 3)
    grids = [_ShapeGrid.of(shapes, n_rows, uses) for _, shapes, uses in named]
    heights = [grid.height + _TITLE_INCHES for grid in grids]
    figure = Figure(figsize=(_BOOK_INCHES, 0.6 + sum(heights)))
    total = figure.get_figheight()
    figure.text(0.15 / _BOOK_INCHES, 1 - 0.12 / total, f"Codebook {book.name}: the commonest "
                "shapes", fontsize=15, fontweight="bold", va="top", color=INK)  # fmt: skip
    top = total - 0.5
    for (name, shapes, _), grid in zip(named, grids, strict=True):
        axes = figure.add_axes((
            0.15 / _BOOK_INCHES, (top - _TITLE_INCHES - grid.height) / total,
            1 - 0.3 / _BOOK_INCHES, grid.height / total,
        ))  # fmt: skip
        _draw_shapes(axes, shapes, grid)
        axes.set_title(_codebook_title(name, shapes), loc="left", fontsize=11, pad=10, color=INK)
        top -= grid.height + _TITLE_INCHES
    return _png(figure)


_BOOK_INCHES = 14.0
_TITLE_INCHES = 0.45
_LABEL_INCHES = 0.46
_MAX_CELL_INCHES = 0.2


@dataclass(frozen=True)
class _ShapeGrid:
    """How the commonest shapes of a plane are laid out; lengths in inches.

    `uses` holds how often training placed or counted a shape, as far as its record says.
    """

    chosen: NDArray[np.int64]
    cell: float
    row_heights: list[float]
    uses: dict[int, int]

    @classmethod
    def of(cls, shapes: Shapes, n_rows: int, uses: dict[int, int]) -> _ShapeGrid:
        n_wanted = n_rows * N_COLUMNS
        chosen = np.array(list(uses)[:n_wanted], np.int64)
        if len(chosen) < min(n_wanted, len(shapes)):
            chosen = commonest_shapes(shapes, n_wanted)
        if not len(chosen):
            return cls(chosen, _MAX_CELL_INCHES, [_LABEL_INCHES], uses)
        column = (_BOOK_INCHES - 0.3) / N_COLUMNS
        heights = shapes.heights[chosen]
        cell = min(_MAX_CELL_INCHES, (column - 0.14) / shapes.widths[chosen].max(),
                   1.3 / heights.max())  # fmt: skip
        highest = [int(heights[start : start + N_COLUMNS].max())
                   for start in range(0, len(chosen), N_COLUMNS)]  # fmt: skip
        return cls(chosen, cell, [cell * height + _LABEL_INCHES for height in highest], uses)

    @property
    def height(self) -> float:
        return sum(self.row_heights)


def commonest_shapes(shapes: Shapes, n_shapes: int) -> NDArray[np.int64]:
    """Return the shapes with the shortest codewords, the larger of equals first."""
    areas = shapes.heights.astype(np.int64) * shapes.widths
    return np.lexsort((-areas, _shape_lengths(shapes)))[:n_shapes]


def _shape_lengths(shapes: Shapes) -> NDArray[np.uint8]:
    """Return the shapes' code lengths, without that of an end mark."""
    return shapes.code_lengths[: len(shapes)]


def _named_shapes(book: Codebook) -> list[tuple[str, Shapes, dict[int, int]]]:
    """Return (title, shapes, uses) of each plane, those of the reference settings last."""
    from .codebook import KIND_NAMES
    from .mining import plane_label
    from .planes import RCT
    from .tracing import PLANE_NAMES

    record = book.record.get("planes")
    entries = record if isinstance(record, dict) else {}
    named: list[tuple[str, Shapes, dict[int, int]]] = []
    for kind, part in sorted(book.parts.items()):
        n_planes = len(part.planes)
        names = PLANE_NAMES[part.transform] if n_planes > 1 else ("",)
        for index, (name, plane) in enumerate(zip(names, part.planes, strict=True)):
            title = f"{KIND_NAMES[kind]}, {name}".rstrip(", ")
            entry = entries.get(plane_label(KIND_NAMES[kind], index, n_planes))
            named.append((title, plane.shapes, _checked_uses(entry, len(plane.shapes))))
    for kind, reference in sorted(book.reference.items()):
        n_planes = len(reference.planes)
        names = PLANE_NAMES[RCT] if n_planes > 1 else ("",)
        for index, (name, shapes) in enumerate(zip(names, reference.planes, strict=True)):
            title = f"{KIND_NAMES[kind]}, reference settings, {name}".rstrip(", ")
            entry = entries.get(plane_label(reference.scheme.name, index, n_planes))
            named.append((title, shapes, _checked_uses(entry, len(shapes))))
    return named


def _checked_uses(entry: Any, n_shapes: int) -> dict[int, int]:
    pairs = entry.get("most_used") if isinstance(entry, dict) else None
    try:
        uses = {int(shape): int(count) for shape, count in pairs or ()}
    except (TypeError, ValueError):
        return {}
    return uses if all(0 <= shape < n_shapes for shape in uses) else {}


def _codebook_title(name: str, shapes: Shapes) -> str:
    if not len(shapes):
        return f"{name}: no shapes"
    lengths = _shape_lengths(shapes)
    single = int(((shapes.heights == 1) & (shapes.widths == 1)).sum())
    return (
        f"{name}: {len(shapes):,} shapes, {single:,} of one cell; codewords of "
        f"{lengths.min()} to {lengths.max()} bits"
    )


def _draw_shapes(axes: Any, shapes: Shapes, grid: _ShapeGrid) -> None:
    """Draw shapes to one scale, each with its code length below; the unit is a cell."""
    axes.set_axis_off()
    if not len(grid.chosen):
        axes.text(0, 0.5, "the plane is coded without a shape layer", color=QUIET)
        return
    column = (_BOOK_INCHES - 0.3) / N_COLUMNS / grid.cell
    label = _LABEL_INCHES / grid.cell
    tops = np.cumsum([0.0, *grid.row_heights]) / grid.cell
    largest = int(shapes.cells.max())
    for index, shape in enumerate(grid.chosen.tolist()):
        row, place = divmod(index, N_COLUMNS)
        window = shapes.window(shape)
        middle, bottom = (place + 0.5) * column, tops[row + 1] - label
        left = middle - window.shape[1] / 2
        top = (tops[row] + bottom - window.shape[0]) / 2
        _draw_cells(axes, window, left, top, largest, numbers=largest > 1 and grid.cell > 0.13)
        label_text = _bits(shapes.code_lengths[shape])
        if shape in grid.uses:
            label_text += f"\n{grid.uses[shape]:,} x"
        axes.text(middle, bottom + 0.05 / grid.cell, label_text,
                  ha="center", va="top", fontsize=8.5, color=INK)  # fmt: skip
    axes.set_xlim(0, N_COLUMNS * column)
    axes.set_ylim(tops[-1], 0)


def _bits(n_bits: int) -> str:
    return f"{n_bits} bit" if n_bits == 1 else f"{n_bits} bits"


def _draw_cells(
    axes: Any, window: NDArray[Any], left: float, top: float, largest: int, *, numbers: bool
) -> None:
    height, width = window.shape
    box = (left, left + width, top + height, top)
    axes.imshow(_coloured(window, largest), extent=box, interpolation="nearest", aspect="auto",
                zorder=2)  # fmt: skip
    grid = {"color": "white", "linewidth": 0.5, "zorder": 3}
    if max(window.shape) <= 32:
        axes.vlines(left + np.arange(1, width), top, top + height, **grid)
        axes.hlines(top + np.arange(1, height), left, left + width, **grid)
    x, y = left + width * np.array([0, 1, 1, 0, 0]), top + height * np.array([0, 0, 1, 1, 0])
    axes.plot(x, y, color=QUIET, linewidth=0.8, zorder=4)
    if numbers:
        for (row, column), value in np.ndenumerate(window):
            if value:
                axes.text(left + column + 0.5, top + row + 0.52, str(value), ha="center",
                          va="center", fontsize=7, zorder=5,
                          color="white" if value > 1 else INK)  # fmt: skip


def _coloured(window: NDArray[Any], largest: int) -> NDArray[np.float64]:
    """Return colours of a shape layer: white for 0, then from light to dark by logarithm."""
    from matplotlib import colormaps

    if largest <= 1:
        level = 0.75 * (window > 0)
    else:
        level = np.where(window > 0, 0.28 + 0.65 * np.log2(np.maximum(window, 1))
                         / np.log2(largest + 1), 0.0)  # fmt: skip
    colours: NDArray[np.float64] = colormaps["GnBu"](level)
    colours[window == 0] = (1, 1, 1, 1)
    return colours


# ---- Coded images --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Zoom:
    top: int
    left: int
    height: int
    width: int


def draw_trace(trace: Trace, title: str) -> bytes:
    """Return a PNG of a picture, of the shapes placed in it, and of where its bits went.

    Raises
    ------
    ImportError
        Matplotlib is missing.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    height, width = trace.array.shape[:2]
    is_large = max(height, width) > SMALL_SIDE
    mosaic: Any
    mosaic, figure_width, ratios = _mosaic(trace, is_large)
    panel = 0.9 * figure_width / len(mosaic[0]) * min(max(height / width, 0.35), 1.6)
    size = (figure_width, 0.8 + sum(panel * ratio + 0.3 for ratio in ratios))
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(title, fontsize=15, fontweight="bold", x=0.01, ha="left", color=INK)
    axes = figure.subplot_mosaic(mosaic, height_ratios=ratios, empty_sentinel="")
    _draw_picture(axes["picture"], trace)
    _draw_parts(axes["parts"], trace)
    if trace.planes:
        costs = np.sum([plane.sample_costs for plane in trace.planes], axis=0)
        text = "Bits a pixel, all planes" if trace.planes[1:] else "Bits a pixel"
        _draw_costs(figure, axes["costs"], costs, text)
    for index, plane in enumerate(trace.planes):
        if f"costs {index}" in axes:
            text = f"{plane.name}: bits a sample"
            text += "" if trace.coder == "context" else "; no shape was placed"
            _draw_costs(figure, axes[f"costs {index}"], plane.sample_costs, text)
        if (shaped := _with_shapes(plane)) is not None:
            zoom = _busiest(shaped) if f"zoom {index}" in axes else None
            _draw_layer(axes[f"layer {index}"], shaped, zoom)
            if zoom:
                _draw_outlines(axes[f"zoom {index}"], shaped, zoom)
    return _png(figure)


def _with_shapes(plane: TracedPlane | TracedContextPlane) -> TracedPlane | None:
    """Return the plane if shapes were placed in it."""
    from .tracing import TracedPlane

    return plane if isinstance(plane, TracedPlane) and len(plane.boxes) else None


def _mosaic(trace: Trace, is_large: bool) -> tuple[list[list[str]], float, list[float]]:
    """Return the panels, the figure's width and the rows' heights in panels.

    Planes without shapes have a map of their costs instead of their shape layer.
    """
    shaped = [_with_shapes(plane) is not None for plane in trace.planes]
    if len(shaped) <= 1:
        return _mosaic_of_one(shaped, is_large)
    rows = [["picture", "costs", "parts"]]
    cells = [f"layer {i}" if filled else f"costs {i}" for i, filled in enumerate(shaped)]
    cells += [""] * (-len(cells) % 3)
    rows += [cells[start : start + 3] for start in range(0, len(cells), 3)]
    if is_large and any(shaped):
        rows.append([f"zoom {i}" if filled else "" for i, filled in enumerate(shaped)])
    return rows, 17, [1.0] * len(rows)


def _mosaic_of_one(
    shaped: list[bool], is_large: bool
) -> tuple[list[list[str]], float, list[float]]:
    if not shaped:
        return [["picture", "parts"]], 12, [1.0]
    if not shaped[0]:
        return [["picture", "costs"], ["parts"] * 2], 13, [1.0, 0.22]
    if is_large:
        return [["picture", "costs"], ["layer 0", "zoom 0"], ["parts"] * 2], 13, [1.0, 1.0, 0.22]
    return [["picture", "layer 0", "costs"], ["parts"] * 3], 14, [1.0, 0.34]


def _draw_picture(axes: Any, trace: Trace) -> None:
    array = _drawable(trace.array)
    top = 1 if array.dtype == np.bool_ else 255
    axes.imshow(array, cmap="gray", vmin=0, vmax=top, interpolation="nearest")
    height, width = array.shape[:2]
    _caption(axes, f"The picture, {width} x {height}")


def _drawable(array: NDArray[Any]) -> NDArray[Any]:
    """Return a picture as Matplotlib takes it, with 8 bits of the samples."""
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    if array.shape[2:] == (1,):
        return array.squeeze(axis=2)
    if array.shape[2:] == (2,):  # gray and alpha
        return array[:, :, [0, 0, 0, 1]]
    return array


def _draw_costs(figure: Any, axes: Any, costs: NDArray[np.float64], text: str) -> None:
    top = max(float(np.quantile(costs, 0.998)), 1e-6)
    picture = axes.imshow(costs, cmap="inferno", vmin=0, vmax=top, interpolation="nearest")
    bar = figure.colorbar(picture, ax=axes, shrink=0.8, pad=0.01, fraction=0.04)
    bar.outline.set_visible(False)
    _caption(axes, text)


def _draw_layer(axes: Any, plane: TracedPlane, zoom: _Zoom | None) -> None:
    """Draw a whole shape layer: with outlines where it is small, else a dot for each shape."""
    n_placed = f"{plane.name}: {len(plane.boxes):,} shape{'s' * (len(plane.boxes) > 1)} placed"
    if zoom is None:
        height, width = plane.layer.shape
        _draw_outlines(axes, plane, _Zoom(0, 0, height, width))
        _caption(axes, f"{n_placed}, on the shape layer")
        return
    areas = plane.boxes[:, 2] * plane.boxes[:, 3]
    middles = plane.boxes[:, :2] + (plane.boxes[:, 2:] - 1) / 2
    axes.scatter(middles[:, 1], middles[:, 0], s=2 + 1.5 * np.minimum(areas, 12), c=np.log2(areas),
                 cmap="viridis_r", vmin=-1, vmax=4, linewidths=0)  # fmt: skip
    axes.set_xlim(-0.5, plane.layer.shape[1] - 0.5)
    axes.set_ylim(plane.layer.shape[0] - 0.5, -0.5)
    axes.set_aspect("equal")
    _frame(axes, zoom, "#b8336a")
    _caption(axes, f"{n_placed} (dark: large ones)")


def _draw_outlines(axes: Any, plane: TracedPlane, zoom: _Zoom) -> None:
    """Draw a part of the shape layer cell by cell, with the outlines of the shapes placed there."""
    from matplotlib.collections import LineCollection

    part = plane.layer[zoom.top : zoom.top + zoom.height, zoom.left : zoom.left + zoom.width]
    box = (zoom.left - 0.5, zoom.left + zoom.width - 0.5,
           zoom.top + zoom.height - 0.5, zoom.top - 0.5)  # fmt: skip
    largest = (1 << (plane.sample_bits - plane.low_bits)) - 1
    axes.imshow(_coloured(part, largest), extent=box, interpolation="nearest")
    lines, colours = [], []
    inset = 0.06
    for index, (top, left, height, width) in enumerate(plane.boxes.tolist()):
        if top > box[2] or top + height < box[3] or left > box[1] or left + width < box[0]:
            continue
        up, down = top - 0.5 + inset, top + height - 0.5 - inset
        west, east = left - 0.5 + inset, left + width - 0.5 - inset
        lines.append([(west, up), (east, up), (east, down), (west, down), (west, up)])
        colours.append(OUTLINES[index % len(OUTLINES)])
    axes.add_collection(LineCollection(lines, colors=colours, linewidths=1.2))
    axes.set_xlim(box[0], box[1])
    axes.set_ylim(box[2], box[3])
    rows = f"rows {zoom.top} to {zoom.top + zoom.height - 1}"
    columns = f"columns {zoom.left} to {zoom.left + zoom.width - 1}"
    _caption(axes, f"{plane.name}: enlarged, {rows}, {columns}")


def _draw_parts(axes: Any, trace: Trace) -> None:
    """Draw a bar for each plane, and one for what surrounds them."""
    rows = trace.parts
    unit, name = (8 * 1024, "KiB") if trace.file_bytes > 20_000 else (1, "bits")
    longest = max(sum(n_bits for _, n_bits in parts) for _, parts in rows)
    seen: set[str] = set()
    for position, (_, parts) in enumerate(reversed(rows)):
        start = 0.0
        for part, n_bits in parts:
            axes.barh(position, n_bits / unit, left=start / unit, height=0.62,
                      color=PART_COLOURS[part], label=None if part in seen else part)  # fmt: skip
            seen.add(part)
            if n_bits > 0.09 * longest:
                axes.text((start + n_bits / 2) / unit, position,
                          f"{100 * n_bits / (8 * trace.file_bytes):.1f} %", ha="center",
                          va="center", color="white", fontsize=9, fontweight="bold")  # fmt: skip
            start += n_bits
        axes.text((start + 0.012 * longest) / unit, position, _amount(start), va="center",
                  fontsize=9, color=INK)  # fmt: skip
    axes.set_yticks(range(len(rows)), [row for row, _ in reversed(rows)])
    axes.set_xlim(0, 1.22 * longest / unit)
    axes.set_xlabel(name)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
    axes.set_ylim(-0.6, len(rows) - 0.4 + (0.5 if len(rows) > 3 else 0.0))
    handles, names = axes.get_legend_handles_labels()
    order = sorted(range(len(names)), key=lambda index: list(PART_COLOURS).index(names[index]))
    axes.legend([handles[index] for index in order], [names[index] for index in order],
                loc="lower right", frameon=False, fontsize=9)  # fmt: skip
    axes.set_title(f"Where the {trace.file_bytes:,} bytes of the file went", loc="left",
                   fontsize=11, color=INK)  # fmt: skip


def _amount(n_bits: float) -> str:
    return f"{n_bits / 8:,.0f} bytes" if n_bits >= 80_000 else f"{n_bits:,.0f} bits"


def _busiest(plane: TracedPlane) -> _Zoom:
    """Return the part of a plane with the most placements."""
    n_rows, n_columns = plane.layer.shape
    height, width = min(ZOOM_SIDE, n_rows), min(ZOOM_SIDE, n_columns)
    tops = np.arange(0, n_rows - height + 1, max(1, height // 2))
    lefts = np.arange(0, n_columns - width + 1, max(1, width // 2))
    starts = np.zeros((n_rows + 1, n_columns + 1), np.int64)
    np.add.at(starts, (plane.boxes[:, 0] + 1, plane.boxes[:, 1] + 1), 1)
    total = starts.cumsum(axis=0).cumsum(axis=1)
    inside = (total[np.ix_(tops + height, lefts + width)] - total[np.ix_(tops, lefts + width)]
              - total[np.ix_(tops + height, lefts)] + total[np.ix_(tops, lefts)])  # fmt: skip
    row, column = np.unravel_index(int(np.argmax(inside)), inside.shape)
    return _Zoom(int(tops[row]), int(lefts[column]), height, width)


def _frame(axes: Any, zoom: _Zoom, colour: str) -> None:
    from matplotlib.patches import Rectangle

    corner = (zoom.left - 0.5, zoom.top - 0.5)
    axes.add_patch(Rectangle(corner, zoom.width, zoom.height, fill=False, edgecolor=colour,
                             linewidth=1.5))  # fmt: skip


def _caption(axes: Any, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=11, color=INK)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(LINE)


def _png(figure: Any) -> bytes:
    stream = BytesIO()
    figure.savefig(stream, format="png", dpi=110, facecolor="white")
    return stream.getvalue()
