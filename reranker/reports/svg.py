"""Turn what matplotlib draws into inline SVG that follows the page's colours on light and dark screens and on paper.

matplotlib draws with placeholder colours, which are then replaced by the page's CSS variables. Series have the palette
of Okabe and Ito (2008), which readers without full colour vision can tell apart.
"""

import hashlib
import io
import re
import warnings
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

from indexer.printable import printable
from reranker.reports.page import Chart

# Placeholder colours, and the CSS variable that each is replaced by.
INK, SOFT, PAPER = "#010101", "#020202", "#030303"
SERIES = tuple(f"#0400{i:02d}" for i in range(6))
CSS_VARIABLES = {INK: "--ink", SOFT: "--soft", PAPER: "--paper"} | {c: f"--series-{i}" for i, c in enumerate(SERIES)}
# matplotlib's settings.
RC: dict[Any, Any] = {
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


def make_chart(draw: Callable[[Any], None], caption: str, alt: str, height: float = 3.3) -> Chart:
    """Turn what a function draws into a chart.

    Args:
        draw: Called with matplotlib's axes.
        caption: Text below the chart.
        alt: The chart in words.
        height: In inches; the width is 8 inches.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import ScalarFormatter

    with mpl.rc_context(RC), warnings.catch_warnings():
        # The browser draws the letters, so it does not matter which ones matplotlib's font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = Figure(figsize=(8, height), facecolor="none", layout="constrained")
        axes = figure.add_subplot(facecolor="none")
        draw(axes)
        for axis in (axes.xaxis, axes.yaxis):
            if isinstance(axis.get_major_formatter(), ScalarFormatter):
                axis.set_major_formatter(axis_number)
        return Chart(_svg(figure, alt), caption)


def axis_number(value: float, _: float) -> str:
    """Write a number on an axis as in the tables; the second argument is what matplotlib passes."""
    return f"{value:,.6g}"


def _svg(figure: Any, alt: str) -> str:
    """Turn a figure into <svg> for use inside a page: ids of its own, no namespaces, colours as CSS variables."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    root = ElementTree.fromstring(buffer.getvalue())
    prefix = f"c{hashlib.sha256(buffer.getvalue()).hexdigest()[:8]}-"
    for parent in list(root.iter()):
        # A style element would change the whole page; page.css has the rules for charts.
        for child in [child for child in parent if child.tag.endswith(("}metadata", "}style"))]:
            parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {
            name.rpartition("}")[2]: _local(name.rpartition("}")[2], value, prefix)
            for name, value in element.attrib.items()
        }
        # CSS variables work in styles, not in attributes.
        for name in ("fill", "stroke"):
            if "var(" in element.attrib.get(name, ""):
                element.attrib["style"] = f"{name}: {element.attrib.pop(name)}"
        # Nothing refers to the ids of axes and ticks.
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
    """Return an attribute with the prefix before its ids, and CSS variables for its placeholder colours."""
    if name == "id":
        return prefix + value
    if name == "href":
        return value.replace("#", "#" + prefix, 1)
    value = re.sub(r"url\(#", f"url(#{prefix}", value)
    value = re.sub(r"(font|font-family): [^;]*;?", _size_only, value)
    return re.sub("|".join(CSS_VARIABLES), lambda found: f"var({CSS_VARIABLES[found[0]]})", value)


def _size_only(found: re.Match[str]) -> str:
    """Keep only the size of a font: the typeface is the page's."""
    size = re.search(r"[\d.]+px", found[0])
    return f"font-size: {size[0]};" if size else ""
