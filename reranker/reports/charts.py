"""Draw charts for a report page: lines, bars, histograms, a heat map and points.

Every chart has a caption below it, `alt`, which says in words what is to be seen, and labels `x` and `y` of its axes.
Each series has a colour, and a line style, a marker or a hatch of its own for prints in grey.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from indexer.printable import printable
from reranker.metrics.bootstrap import Measured
from reranker.reports.page import Chart
from reranker.reports.svg import INK, PAPER, SERIES, SOFT, axis_number, make_chart

# Line styles, hatches and markers of the series, in their order.
LINE_STYLES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "++")
MARKERS = ("o", "s", "^", "D", "v", "P")
# Opacity of the darkest cell of a heat map: the number in it has a contrast of 4.5 to 1, on dark screens too.
DARKEST = 0.5


@dataclass(frozen=True, slots=True)
class Line:
    """A curve with or without a band.

    Attributes:
        name: Its name in the legend.
        x: (n,) float.
        y: (n,) float.
        low: (n,) float, lower edge of the band; None for no band.
        high: (n,) float, upper edge of the band; None for no band.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None


def lines(curves: Sequence[Line], caption: str, alt: str, x: str, y: str, *, log: bool = False) -> Chart:
    """Draw curves with their bands.

    Args:
        curves: At most six.
        caption: Text below the chart.
        alt: The chart in words.
        x: Label of the x axis.
        y: Label of the y axis.
        log: Whether the x axis is logarithmic.
    """

    def draw(axes: Any) -> None:
        for number, curve in enumerate(curves):
            if curve.low is not None and curve.high is not None:
                axes.fill_between(curve.x, curve.low, curve.high, color=SERIES[number], alpha=0.18, linewidth=0)
            axes.plot(
                curve.x,
                curve.y,
                color=SERIES[number],
                linestyle=LINE_STYLES[number],
                linewidth=1.8,
                label=printable(curve.name),
            )
        if log:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(axis_number)
        _label(axes, x, y, len(curves) > 1)

    return make_chart(draw, caption, alt)


def bars(
    labels: Sequence[str],
    groups: Mapping[str, Sequence[float | Measured]],
    caption: str,
    alt: str,
    x: str,
    y: str,
    *,
    shown: str | None = None,
) -> Chart:
    """Draw bars of one or several groups side by side, with whiskers where a value has an interval.

    Args:
        labels: Label of each place on the x axis.
        groups: Name of a group -> its value at each place; at most six groups.
        caption: Text below the chart.
        alt: The chart in words.
        x: Label of the x axis.
        y: Label of the y axis.
        shown: Format of the number above each bar, such as `{:.2f}`; None for no numbers.
    """
    width = 0.8 / len(groups)

    def draw(axes: Any) -> None:
        for number, (name, values) in enumerate(groups.items()):
            at = np.arange(len(labels)) + (number - (len(groups) - 1) / 2) * width
            heights = [value.value if isinstance(value, Measured) else value for value in values]
            tops = [value.high if isinstance(value, Measured) else value for value in values]
            _bar(axes.bar, at, heights, width * 0.94, number, name)
            for place, value in zip(at, values, strict=True):
                if isinstance(value, Measured):
                    axes.plot([place, place], [value.low, value.high], color=INK, linewidth=1)
            if shown is not None:
                for place, height, top in zip(at, heights, tops, strict=True):
                    axes.annotate(
                        shown.format(height), (place, top), (0, 3), textcoords="offset points", ha="center", fontsize=8
                    )
        axes.set_xticks(range(len(labels)), ["\n".join(map(printable, label.split("\n"))) for label in labels])
        _label(axes, x, y, len(groups) > 1, grid="y")

    return make_chart(draw, caption, alt)


def histogram(
    groups: Mapping[str, np.ndarray],
    edges: np.ndarray,
    caption: str,
    alt: str,
    x: str,
    y: str,
    *,
    marks: Mapping[str, float] | None = None,
) -> Chart:
    """Draw how many values fall into each bin.

    Args:
        groups: Name of a group -> its values (n,); at most six groups.
        edges: (bins + 1,) edges of the bins.
        caption: Text below the chart.
        alt: The chart in words.
        x: Label of the x axis.
        y: Label of the y axis.
        marks: Name -> x of upright lines.
    """
    counts = {name: np.histogram(values, edges)[0].astype(float) for name, values in groups.items()}
    return _histogram(counts, edges, (x, y), marks or {}, caption, alt)


def share_histogram(
    groups: Mapping[str, np.ndarray],
    edges: np.ndarray,
    caption: str,
    alt: str,
    x: str,
    y: str,
    *,
    marks: Mapping[str, float] | None = None,
) -> Chart:
    """Draw the share of each group's values that falls into each bin, to compare groups of different sizes.

    Takes what `histogram` takes.
    """
    shares = {
        name: np.histogram(values, edges)[0].astype(float) / max(1, len(values)) for name, values in groups.items()
    }
    return _histogram(shares, edges, (x, y), marks or {}, caption, alt)


def _histogram(
    heights: Mapping[str, np.ndarray],
    edges: np.ndarray,
    labels: tuple[str, str],
    marks: Mapping[str, float],
    caption: str,
    alt: str,
) -> Chart:
    """Draw a histogram of heights (bins,) of each group: bars for one group, outlines for several."""

    def draw(axes: Any) -> None:
        for number, (name, values) in enumerate(heights.items()):
            if len(heights) == 1:
                _bar(axes.bar, edges[:-1], values, np.diff(edges), 0, name, align="edge")
            else:
                axes.stairs(
                    values,
                    edges,
                    color=SERIES[number],
                    linestyle=LINE_STYLES[number],
                    linewidth=1.8,
                    label=printable(name),
                )
                axes.stairs(values, edges, color=SERIES[number], alpha=0.15, fill=True)
        for name, place in marks.items():
            axes.axvline(place, color=INK, linewidth=1, linestyle=":")
            axes.annotate(printable(name), (place, 0.98), (4, -8), xycoords=("data", "axes fraction"), fontsize=8,
                          textcoords="offset points", color=INK)  # fmt: skip
        _label(axes, *labels, len(heights) > 1, grid="y")

    return make_chart(draw, caption, alt)


def stacked_bars(labels: Sequence[str], parts: Mapping[str, Sequence[float]], caption: str, alt: str, x: str) -> Chart:
    """Draw horizontal bars of parts that add up; a part of 4 % or more has its number written in it.

    Args:
        labels: Label of each bar.
        parts: Name of a part -> its length in each bar; at most six parts.
        caption: Text below the chart.
        alt: The chart in words.
        x: Label of the x axis.
    """

    def draw(axes: Any) -> None:
        left = np.zeros(len(labels))
        whole = np.sum(list(parts.values()), axis=0)
        for number, (name, values) in enumerate(parts.items()):
            _bar(axes.barh, np.arange(len(labels)), values, 0.62, number, name, left=left)
            for row, value in enumerate(values):
                if value >= 0.04 * whole[row]:
                    axes.text(left[row] + value / 2, row, f"{value:.3f}".lstrip("0"), ha="center", va="center",
                              fontsize=8.5, bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.5})  # fmt: skip
            left = left + np.asarray(values)
        axes.set_yticks(range(len(labels)), [printable(label) for label in labels])
        axes.invert_yaxis()
        axes.set_xlabel(printable(x))
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)

    return make_chart(draw, caption, alt, height=0.9 + 0.55 * len(labels) + 0.2 * len(parts))


def heat_map(
    values: np.ndarray, rows: Sequence[str], columns: Sequence[str], caption: str, alt: str, x: str, y: str
) -> Chart:
    """Draw counts as a table of cells; a larger share of the row has a darker colour.

    Args:
        values: (rows, columns) counts.
        rows: Label of each row.
        columns: Label of each column.
        caption: Text below the chart.
        alt: The chart in words.
        x: Label of the x axis.
        y: Label of the y axis.
    """

    def draw(axes: Any) -> None:
        from matplotlib.patches import Rectangle

        shares = values / np.maximum(values.sum(axis=1, keepdims=True), 1)
        for (row, column), number in np.ndenumerate(values):
            cell = Rectangle(
                (column - 0.5, row - 0.5), 1, 1, facecolor=SERIES[0], alpha=DARKEST * float(shares[row, column])
            )
            axes.add_patch(cell)
            axes.text(column, row, f"{int(number):,}", ha="center", va="center", fontsize=9)
        axes.set_xlim(-0.5, len(columns) - 0.5)
        axes.set_ylim(-0.5, len(rows) - 0.5)
        axes.set_xticks(range(len(columns)), [printable(column) for column in columns])
        axes.set_yticks(range(len(rows)), [printable(row) for row in rows])
        axes.set_xlabel(printable(x))
        axes.set_ylabel(printable(y))

    return make_chart(draw, caption, alt, height=1.0 + 0.42 * len(rows))


def points(
    x_values: np.ndarray,
    y_values: Sequence[Measured],
    caption: str,
    alt: str,
    x: str,
    y: str,
    *,
    diagonal: str = "",
) -> Chart:
    """Draw points with whiskers, and a line through them in order.

    Args:
        x_values: (n,) float.
        y_values: n measured values.
        caption: Text below the chart.
        alt: The chart in words.
        x: Label of the x axis.
        y: Label of the y axis.
        diagonal: Name of a line of equal x and y, from 0 to the largest value; empty for no line.
    """

    def draw(axes: Any) -> None:
        means = np.array([value.value for value in y_values])
        if diagonal:
            most = float(max(x_values.max(), means.max()))
            axes.plot([0, most], [0, most], color=SOFT, linestyle=":", linewidth=1.2, label=printable(diagonal))
        for place, value in zip(x_values, y_values, strict=True):
            axes.plot([place, place], [value.low, value.high], color=INK, linewidth=1)
        axes.plot(x_values, means, color=SERIES[0], marker="o", markersize=5, linewidth=1.2, label="measured")
        _label(axes, x, y, bool(diagonal))

    return make_chart(draw, caption, alt)


def scatter(groups: Mapping[str, tuple[np.ndarray, np.ndarray]], caption: str, alt: str, x: str, y: str) -> Chart:
    """Draw points, with a marker of its own for each group.

    Args:
        groups: Name of a group -> its x and y, (n,) each; at most six groups.
        caption: Text below the chart.
        alt: The chart in words.
        x: Label of the x axis.
        y: Label of the y axis.
    """

    def draw(axes: Any) -> None:
        for number, (name, (across, up)) in enumerate(groups.items()):
            axes.scatter(
                across,
                up,
                s=14,
                marker=MARKERS[number],
                color=SERIES[number],
                alpha=0.45,
                linewidths=0,
                label=printable(name),
            )
        _label(axes, x, y, len(groups) > 1)

    return make_chart(draw, caption, alt)


def _bar(draw: Callable[..., Any], at: Any, length: Any, thick: Any, number: int, name: str, **place: Any) -> None:
    draw(at, length, thick, facecolor=SERIES[number], edgecolor=PAPER, linewidth=0.6, hatch=HATCHES[number],
         label=printable(name), **place)  # fmt: skip


def _label(axes: Any, x: str, y: str, legend: bool, grid: str = "both") -> None:
    axes.set_xlabel(printable(x))
    axes.set_ylabel(printable(y))
    axes.grid(axis=grid)
    if legend:
        axes.legend()
