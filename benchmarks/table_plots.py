"""The plots of `paper_tables.py`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from measuring import Measured
from table_text import TITLES

if TYPE_CHECKING:
    from paper_tables import Results, Run

SCF_COLOURS = {
    "SCF default": "#b8336a",
    "SCF reference": "#e08e45",
    "SCF auto, effort 1": "#d98cb0",
    "SCF auto, effort 5": "#c75f8f",
    "SCF auto, effort 9": "#8a1c4a",
    "SCF auto, effort 5, without JPEG pasts": "#e3b7cb",
}
PEER_COLOUR = "#8fa3b5"
PEER_COLOURS = ("#a3adb7", "#8d9db0", "#5b6b80", "#c9b98f", "#7fae9e", "#4e8098", "#9b8ac4",
                "#6a5a9b")  # fmt: skip
INK = "#2b2f36"


def draw(run: Run, results: Results, path: Path) -> None:
    """Draw a table's results as a PNG."""
    with mpl.rc_context({
        "font.size": 9, "axes.edgecolor": "#9aa3ad", "axes.labelcolor": INK, "text.color": INK,
        "xtick.color": INK, "ytick.color": INK, "axes.titlesize": 10, "axes.titleweight": "bold",
        "axes.titlelocation": "left",
    }):  # fmt: skip
        if results.matrices:
            figure = _across_classes(results)
        elif results.kind == "rgb8":
            figure = _photographs(results)
        else:
            figure = _classes(results)
        title = TITLES[run.table]
        if run.images is not None or run.train_images is not None:
            title += "  (reduced run)"
        figure.suptitle(title, fontsize=13, fontweight="bold", x=0.01, ha="left")
        figure.savefig(path, dpi=130)


def _figure(width: float, height: float, **options: Any) -> tuple[Any, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(squeeze=False, **options)


def _bars(axes: Any, names: Sequence[str], sets: Sequence[Measured], *, labels: bool) -> None:
    """Draw a bar for each codec's ratio by totals, and marks for the means of ratios."""
    positions = np.arange(len(names))[::-1]
    totals = [measured.total_ratio for measured in sets]
    means = [measured.mean_ratio for measured in sets]
    colours = [SCF_COLOURS.get(name, PEER_COLOUR) for name in names]
    axes.barh(positions, totals, color=colours, height=0.7)
    axes.plot(means, positions, "o", color="white", markeredgecolor=INK, markersize=5,
              label="mean of ratios", linestyle="none")  # fmt: skip
    counted = [(m.counted_mean_ratio, p) for name, m, p in zip(names, sets, positions, strict=True)
               if name in SCF_COLOURS]  # fmt: skip
    axes.plot(*zip(*counted, strict=True), "D", color=INK, markersize=4.5, linestyle="none",
              label="mean of ratios, payload bits only (see the notes)")  # fmt: skip
    right = max(*totals, *means, *(value for value, _ in counted))
    for total, position in zip(totals, positions, strict=True):
        axes.text(right * 0.012, position, f"{total:.3f}", va="center", color="white",
                  fontweight="bold", fontsize=8.5)  # fmt: skip
    axes.set_xlim(0, right * 1.06)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_yticks(positions, names if labels else [""] * len(names))
    for label in axes.get_yticklabels():
        if label.get_text() in SCF_COLOURS:
            label.set_fontweight("bold")
    axes.set_xlabel("raw size / compressed size")
    axes.grid(axis="x", color="#dfe3e8", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)


def _legend_below(figure: Any, axes: Any) -> None:
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower left", ncols=2, frameon=False)


def _photographs(results: Results) -> Any:
    figure, grid = _figure(11, 5.4, ncols=len(results.groups))
    names = list(results.cells)
    for index, (axes, group) in enumerate(zip(grid[0], results.groups, strict=True)):
        sets = [results.cells[name][index] for name in names]
        _bars(axes, names, sets, labels=index == 0)
        axes.set_title(f"{group}, {len(sets[0])} test images: bars are ratios by totals")
    _legend_below(figure, grid[0][0])
    return figure


def _classes(results: Results) -> Any:
    figure, grid = _figure(13, 6.0, ncols=2, width_ratios=(1, 1.45))
    names = list(results.cells)
    sets = [Measured.together(results.cells[name]) for name in names]
    _bars(grid[0][0], names, sets, labels=True)
    grid[0][0].set_title(f"All {len(sets[0]):,} images: bars are ratios by totals")
    _legend_below(figure, grid[0][0])
    axes = grid[0][1]
    order = np.argsort([results.cells[names[0]][i].total_ratio for i in range(len(results.groups))])
    peer_colours = iter(PEER_COLOURS)
    ends = []
    for name in names:
        values = [results.cells[name][i].total_ratio for i in order]
        colour = SCF_COLOURS.get(name) or next(peer_colours)
        bold = name in SCF_COLOURS
        axes.plot(values, "-o", color=colour, linewidth=2.2 if bold else 1.1,
                  markersize=5 if bold else 3.5, zorder=3 if bold else 2)  # fmt: skip
        ends.append((values[-1], name, colour))
    _label_ends(axes, ends, len(order) - 1)
    axes.set_xticks(range(len(order)), [results.groups[i] for i in order], rotation=30, ha="right")
    axes.set_xlim(-0.3, len(order) + 1.9)
    axes.set_title("By class: ratio by totals")
    axes.grid(axis="y", color="#dfe3e8", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _label_ends(axes: Any, ends: list[tuple[float, str, str]], right: int) -> None:
    """Write the codecs' names beside the ends of their lines, moved apart where they would meet."""
    low, high = axes.get_ylim()
    step = (high - low) * 0.05
    heights: list[float] = []
    for value, _, _ in sorted(ends):
        heights.append(max(value, heights[-1] + step) if heights else value)
    excess = max(0.0, heights[-1] - (high - step / 2))
    for (value, name, colour), height in zip(sorted(ends), heights, strict=True):
        placed = height - excess
        axes.plot([right + 0.08, right + 0.32], [value, placed], color=colour, linewidth=0.8)
        axes.text(right + 0.38, placed, name, color=colour, va="center", fontsize=8.5,
                  fontweight="bold" if name in SCF_COLOURS else "normal")  # fmt: skip


def _across_classes(results: Results) -> Any:
    n_matrices = len(results.matrices)
    figure, grid = _figure(5.6 * (n_matrices + 1), 6.2, ncols=n_matrices + 1)
    names = list(results.cells)
    sets = [Measured.together(results.cells[name]) for name in names]
    _bars(grid[0][0], names, sets, labels=True)
    grid[0][0].set_title("All images, SCF with the class's own\ncodebook: bars are ratios by "
                         "totals")  # fmt: skip
    _legend_below(figure, grid[0][0])
    values = {
        coder: np.array([[cell.total_ratio for cell in row] for row in matrix])
        for coder, matrix in results.matrices.items()
    }
    scale = {"vmin": min(v.min() for v in values.values()),
             "vmax": max(v.max() for v in values.values())}  # fmt: skip
    for axes, (coder, matrix) in zip(grid[0][1:], values.items(), strict=True):
        picture = axes.imshow(matrix, cmap="YlGnBu", **scale)
        for (row, column), value in np.ndenumerate(matrix):
            shade = (value - scale["vmin"]) / max(scale["vmax"] - scale["vmin"], 1e-9)
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7.5,
                      color="white" if shade > 0.6 else INK,
                      fontweight="bold" if row == column else "normal")  # fmt: skip
        axes.set_title(f"{coder}: ratio by totals, real files")
        axes.set_xticks(range(len(results.groups)), results.groups, rotation=40, ha="right")
        axes.set_yticks(range(len(results.groups)), results.groups)
        axes.set_xlabel("class of the images")
        axes.set_ylabel("class of the codebook")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    figure.colorbar(picture, ax=list(grid[0][1:]), shrink=0.7, pad=0.01)
    return figure
