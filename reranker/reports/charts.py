"""Charts: numbers -> inline SVG that follows the page's colours, light, dark or on paper.

matplotlib draws with placeholder colours, which become the page's CSS variables: series in the palette of Okabe and Ito
(2008), which is told apart without colour vision; each also has a line style, marker or hatch of its own, so that
a print in grey works.
"""

import hashlib
import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import numpy as np

from indexer.printable import printable
from reranker.reports.page import Chart, Interval

INK, SOFT, PAPER = "#010101", "#020202", "#030303"
SERIES = tuple(f"#0400{i:02d}" for i in range(6))
PLACES = {INK: "--ink", SOFT: "--soft", PAPER: "--paper"} | {c: f"--series-{i}" for i, c in enumerate(SERIES)}
STYLES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "++")
MARKERS = ("o", "s", "^", "D", "v", "P")
# Of a heat map's darkest cell: the number in it has a contrast of 4.5 to 1 on it, on dark screens too.
DEEPEST = 0.5
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "photoseek",
    "text.parse_math": False,
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": SOFT,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "hatch.linewidth": 0.7,
}


@dataclass(frozen=True, slots=True)
class Line:
    """A curve y over x, (n,) each, with a band from low to high, (n,), if given."""

    name: str
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None


def lines(curves: Sequence[Line], caption: str, alt: str, x: str, y: str, *, log: bool = False) -> Chart:
    """Curves with their bands; `log`: the x axis is logarithmic."""

    def draw(axes: Any) -> None:
        for number, curve in enumerate(curves):
            if curve.low is not None and curve.high is not None:
                axes.fill_between(curve.x, curve.low, curve.high, color=SERIES[number], alpha=0.18, linewidth=0)
            axes.plot(
                curve.x,
                curve.y,
                color=SERIES[number],
                linestyle=STYLES[number],
                linewidth=1.8,
                label=printable(curve.name),
            )
        if log:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(_number)
        _label(axes, x, y, len(curves) > 1)

    return chart(draw, caption, alt)


def bars(
    labels: Sequence[str],
    groups: Mapping[str, Sequence[float | Interval]],
    caption: str,
    alt: str,
    x: str,
    y: str,
    *,
    shown: str | None = None,
) -> Chart:
    """Bars of one or several groups side by side, with whiskers where a value has an interval.

    `shown` is the format of the number that stands above each bar; None leaves it out.
    """
    width = 0.8 / len(groups)

    def draw(axes: Any) -> None:
        for number, (name, values) in enumerate(groups.items()):
            at = np.arange(len(labels)) + (number - (len(groups) - 1) / 2) * width
            heights = [value.value if isinstance(value, Interval) else value for value in values]
            tops = [value.high if isinstance(value, Interval) else value for value in values]
            _bar(axes.bar, at, heights, width * 0.94, number, name)
            for place, value in zip(at, values, strict=True):
                if isinstance(value, Interval):
                    axes.plot([place, place], [value.low, value.high], color=INK, linewidth=1)
            if shown is not None:
                for place, height, top in zip(at, heights, tops, strict=True):
                    axes.annotate(
                        shown.format(height), (place, top), (0, 3), textcoords="offset points", ha="center", fontsize=8
                    )
        axes.set_xticks(range(len(labels)), ["\n".join(map(printable, label.split("\n"))) for label in labels])
        _label(axes, x, y, len(groups) > 1, grid="y")

    return chart(draw, caption, alt)


def histogram(
    groups: Mapping[str, np.ndarray],
    edges: np.ndarray,
    caption: str,
    alt: str,
    x: str,
    y: str,
    *,
    share: bool = False,
    marks: Mapping[str, float] | None = None,
) -> Chart:
    """How often values (n,) fall between `edges` (b + 1,). `share`: as shares of each group, so that groups of other
    sizes can be compared; `marks`: named upright lines."""

    def draw(axes: Any) -> None:
        for number, (name, values) in enumerate(groups.items()):
            counts = np.histogram(values, edges)[0].astype(float)
            if share:
                counts /= max(1, len(values))
            if len(groups) == 1:
                _bar(axes.bar, edges[:-1], counts, np.diff(edges), 0, name, align="edge")
            else:
                axes.stairs(
                    counts, edges, color=SERIES[number], linestyle=STYLES[number], linewidth=1.8, label=printable(name)
                )
                axes.stairs(counts, edges, color=SERIES[number], alpha=0.15, fill=True)
        for name, place in (marks or {}).items():
            axes.axvline(place, color=INK, linewidth=1, linestyle=":")
            axes.annotate(printable(name), (place, 0.98), (4, -8), xycoords=("data", "axes fraction"), fontsize=8,
                          textcoords="offset points", color=INK)  # fmt: skip
        _label(axes, x, y, len(groups) > 1, grid="y")

    return chart(draw, caption, alt)


def stacked(labels: Sequence[str], parts: Mapping[str, Sequence[float]], caption: str, alt: str, x: str) -> Chart:
    """Level bars, each made of parts that add up; a part of 4 % or more has its number written in it."""

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

    return chart(draw, caption, alt, height=0.9 + 0.55 * len(labels) + 0.2 * len(parts))


def heat(
    values: np.ndarray, rows: Sequence[str], columns: Sequence[str], caption: str, alt: str, x: str, y: str
) -> Chart:
    """Counts (r, c) as a table whose cells are the darker the more they hold of their row; the number in each."""

    def draw(axes: Any) -> None:
        from matplotlib.patches import Rectangle

        shares = values / np.maximum(values.sum(axis=1, keepdims=True), 1)
        for (row, column), number in np.ndenumerate(values):
            cell = Rectangle(
                (column - 0.5, row - 0.5), 1, 1, facecolor=SERIES[0], alpha=DEEPEST * float(shares[row, column])
            )
            axes.add_patch(cell)
            axes.text(column, row, f"{int(number):,}", ha="center", va="center", fontsize=9)
        axes.set_xlim(-0.5, len(columns) - 0.5)
        axes.set_ylim(-0.5, len(rows) - 0.5)
        axes.set_xticks(range(len(columns)), [printable(column) for column in columns])
        axes.set_yticks(range(len(rows)), [printable(row) for row in rows])
        axes.set_xlabel(printable(x))
        axes.set_ylabel(printable(y))

    return chart(draw, caption, alt, height=1.0 + 0.42 * len(rows))


def points(
    x_values: np.ndarray,
    y_values: Sequence[Interval],
    caption: str,
    alt: str,
    x: str,
    y: str,
    *,
    diagonal: str = "",
) -> Chart:
    """Points with their whiskers and a line through them in order, x: (n,). `diagonal` names a line of equal x and y
    from 0 to the largest."""

    def draw(axes: Any) -> None:
        means = np.array([value.value for value in y_values])
        if diagonal:
            most = float(max(x_values.max(), means.max()))
            axes.plot([0, most], [0, most], color=SOFT, linestyle=":", linewidth=1.2, label=printable(diagonal))
        for place, value in zip(x_values, y_values, strict=True):
            axes.plot([place, place], [value.low, value.high], color=INK, linewidth=1)
        axes.plot(x_values, means, color=SERIES[0], marker="o", markersize=5, linewidth=1.2, label="measured")
        _label(axes, x, y, bool(diagonal))

    return chart(draw, caption, alt)


def scatter(groups: Mapping[str, tuple[np.ndarray, np.ndarray]], caption: str, alt: str, x: str, y: str) -> Chart:
    """Points of each group with a marker of its own; each group is (x, y) of shape (n,)."""

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

    return chart(draw, caption, alt)


def chart(draw: Callable[[Any], None], caption: str, alt: str, height: float = 3.3) -> Chart:
    """What `draw(axes)` draws, 8 inches wide and `height` high. `alt` says in words what is to be seen."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import ScalarFormatter

    with mpl.rc_context(STYLE), warnings.catch_warnings():
        # A letter that matplotlib's font lacks is drawn by the browser, which has others.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = Figure(figsize=(8, height), facecolor="none", layout="constrained")
        axes = figure.add_subplot(facecolor="none")
        draw(axes)
        for axis in (axes.xaxis, axes.yaxis):
            if isinstance(axis.get_major_formatter(), ScalarFormatter):
                axis.set_major_formatter(_number)
        return Chart(_svg(figure, alt), caption)


def _svg(figure: Any, alt: str) -> str:
    """The figure as <svg> for the inside of a page: ids of its own, no namespaces, colours as CSS variables."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    root = ElementTree.fromstring(buffer.getvalue())
    prefix = f"c{hashlib.sha256(buffer.getvalue()).hexdigest()[:8]}-"
    for parent in list(root.iter()):
        # The style element holds rules for everything on a page; page.css has them for charts.
        for child in [child for child in parent if child.tag.endswith(("}metadata", "}style"))]:
            parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {
            name.rpartition("}")[2]: _local(name.rpartition("}")[2], value, prefix)
            for name, value in element.attrib.items()
        }
        # Attributes know no variables, styles do.
        for name in ("fill", "stroke"):
            if "var(" in element.attrib.get(name, ""):
                element.attrib["style"] = f"{name}: {element.attrib.pop(name)}"
        # Every axis and tick has an id, which nothing names.
        if element.tag == "g":
            element.attrib.pop("id", None)
        if element.tag != "text":
            element.text = None
        element.tail = None
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib |= {"role": "img", "aria-label": printable(alt)}
    return ElementTree.tostring(root, encoding="unicode")


def _local(name: str, value: str, prefix: str) -> str:
    """An attribute with its ids under the prefix and its placeholder colours as CSS variables."""
    if name == "id":
        return prefix + value
    if name == "href":
        return value.replace("#", "#" + prefix, 1)
    value = re.sub(r"url\(#", f"url(#{prefix}", value)
    value = re.sub(r"(font|font-family): [^;]*;?", _size_only, value)
    return re.sub("|".join(PLACES), lambda found: f"var({PLACES[found[0]]})", value)


def _size_only(found: re.Match[str]) -> str:
    """Of a font only its size: letters are those of the page."""
    size = re.search(r"[\d.]+px", found[0])
    return f"font-size: {size[0]};" if size else ""


def _bar(draw: Callable[..., Any], at: Any, length: Any, thick: Any, number: int, name: str, **place: Any) -> None:
    draw(at, length, thick, facecolor=SERIES[number], edgecolor=PAPER, linewidth=0.6, hatch=HATCHES[number],
         label=printable(name), **place)  # fmt: skip


def _number(value: float, _: float) -> str:
    """A number on an axis, written as in the tables."""
    return f"{value:,.6g}"


def _label(axes: Any, x: str, y: str, legend: bool, grid: str = "both") -> None:
    axes.set_xlabel(printable(x))
    axes.set_ylabel(printable(y))
    axes.grid(axis=grid)
    if legend:
        axes.legend()
