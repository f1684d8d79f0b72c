"""Show the figures of a search benchmark: as text, and as a plot of recall against time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from indexer.storage.atomic_files import atomic_write
from search.bench.baseline_comparison import BaselineFigures, MissingBaseline
from search.bench.candidates import CandidateFigures
from search.bench.cold_start import ColdStart
from search.bench.plot_file import plot_metadata
from search.bench.roofline import Roofline
from search.bench.search_benchmark import SearchBenchmark
from search.bench.synthetic.likeness import Likeness
from search.bench.timing import Latency, MeasuredSearch

# Columns of the names in a table.
WIDTH = 25


def format_searches(figures: SearchBenchmark, likeness: Likeness | None = None) -> str:
    """Format the figures as text.

    Args:
        figures: The figures.
        likeness: What to say about the synthetic index that they are of.

    Returns:
        The lines, without a final newline.
    """
    lines = [f"{figures.photos} photos, {figures.queries} warm queries, {figures.reranked} reranked"]
    if likeness is not None:
        lines += ["", *_likeness_lines(likeness)]
    lines += ["", *_stage_lines(figures.latency, figures.roofline)]
    lines += ["", *_cold_lines(figures.cold)]
    for size, throughput in figures.throughput.items():
        lines.append(
            f"batches of {size:>4}: {throughput.queries_per_s:.0f} queries/s, candidates alone "
            f"{throughput.candidates_per_s:.0f}"
        )
    memory = {name.replace("_", " "): value for name, value in figures.memory_dict().items()}
    lines.append("memory: " + ", ".join(f"{name} {value}" for name, value in memory.items()))
    lines += ["", *_candidate_lines(figures.candidates)]
    if figures.baselines:
        lines += ["", *_baseline_lines(figures.baselines)]
    return "\n".join(lines)


def plot_recall(figures: SearchBenchmark, path: Path) -> None:
    """Plot recall@100 against the median time of one search, as SVG, PNG or whatever else matplotlib writes.

    A dot is a setting, a line goes through the Pareto front, a star marks what a search uses.

    Args:
        figures: The figures.
        path: The file to write; its suffix names the format.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import AutoLocator, LogLocator, NullLocator

    with mpl.rc_context({"svg.hashsalt": "photoseek", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=(7, 4.5), layout="constrained")
        axes = figure.subplots()
        for kind, used in figures.candidates.kinds.items():
            curve = [point.kinds[kind] for point in figures.candidates.curve]
            _draw(axes, f"photoseek, {kind}", [*curve, used.search], used.search)
        for name, baseline in figures.baselines.items():
            if isinstance(baseline, BaselineFigures):
                _draw(axes, name, [point.search for point in baseline.curve] or [baseline.search])
        axes.plot([], [], "*", color="grey", markersize=14, label="as photoseek searches")
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if high > 10 * low else AutoLocator())
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel("ms a search, median, one thread")
        axes.set_ylabel("recall@100")
        axes.set_title(f"{figures.photos:,} photos")
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)
        with atomic_write(path) as scratch:
            figure.savefig(scratch, metadata=plot_metadata(path))


def pareto_front(points: Sequence[MeasuredSearch]) -> list[MeasuredSearch]:
    """Select the measured settings that find more than every setting that is as fast or faster.

    Args:
        points: The settings, in any order.

    Returns:
        The Pareto front, fastest first.
    """
    front: list[MeasuredSearch] = []
    for point in sorted(points, key=lambda point: (point.latency.p50_ms, -point.recall)):
        if not front or point.recall > front[-1].recall:
            front.append(point)
    return front


def _draw(axes: Any, label: str, points: Sequence[MeasuredSearch], used: MeasuredSearch | None = None) -> None:
    """Draw one way to search: its settings as dots, the front as a line, the setting in use as a star."""
    (line,) = axes.plot(*_coordinates(pareto_front(points)), label=label, linestyle="-" if used else "--")
    axes.plot(*_coordinates(points), ".", color=line.get_color(), alpha=0.5)
    if used is not None:
        axes.plot(*_coordinates([used]), "*", color=line.get_color(), markersize=14, markeredgecolor="black", zorder=3)


def _coordinates(points: Sequence[MeasuredSearch]) -> tuple[list[float], list[float]]:
    """Return the median milliseconds and the recall of measured searches."""
    return [point.latency.p50_ms for point in points], [point.recall for point in points]


def _likeness_lines(likeness: Likeness) -> list[str]:
    """Format how like a synthetic index is to the real one."""
    real, made = likeness.real, likeness.synthetic
    lines = [
        f"synthetic: {likeness.photos} photos in {likeness.folder}",
        f"real and synthetic, {likeness.compared} photos each; largest deviation "
        f"{100 * likeness.largest_deviation:.1f} % (of queries {100 * likeness.query_deviation:.1f} %)",
        f"  intrinsic dimension (TwoNN): {real.intrinsic_dimension:.1f}, {made.intrinsic_dimension:.1f}",
    ]
    for what, one, other in (
        ("cosine to the 100 nearest photos", real.similarity, made.similarity),
        ("100 best scores of queries", real.query_score or {}, made.query_score or {}),
    ):
        lines.append(f"  {what}: " + "; ".join(f"{q} {value:.3f}, {other[q]:.3f}" for q, value in one.items()))
    return lines


def _stage_lines(latency: Mapping[str, Latency], roofline: Roofline) -> list[str]:
    """Format the latency by stage beside the limits of the machine."""
    lines = ["stage          p50 ms   p95 ms   p99 ms   floor ms   times floor"]
    for stage, times in latency.items():
        line = f"{stage:<12}{times.p50_ms:>9.2f}{times.p95_ms:>9.2f}{times.p99_ms:>9.2f}"
        limit = roofline.stages.get(stage)
        lines.append(line + (f"{limit.least_ms:>11.3f}{limit.ratio:>14.1f}" if limit else ""))
    machine = roofline.machine
    lines.append(
        f"floor: {machine.memory_gb_per_s:.1f} GB/s from memory, {machine.float32_gflops:.0f} GFLOP/s float32, "
        f"one thread; {machine.network_gflops:.0f} GFLOP/s in the text encoder's precision"
    )
    return lines


def _cold_lines(cold: ColdStart) -> list[str]:
    """Format the times of fresh processes."""
    lines = [f"fresh process, to the printed result: {cold.total_ms:.0f} ms, median of {cold.runs}"]
    if cold.dropped_total_ms is not None:
        lines += [
            f"the same with the index's files dropped from the cache: {cold.dropped_total_ms:.0f} ms",
            f"first answer of an open index after that: {cold.first_query_ms:.1f} ms; later ones, dropped before "
            f"each: {cold.query_ms:.1f} ms",
        ]
    return lines


def _candidate_lines(candidates: CandidateFigures) -> list[str]:
    """Format recall and latency of the candidate stage: by kind of query, under filters, over settings."""
    lines = [
        f"candidates, recall@100 against exact search: {candidates.recall:.4f}",
        f"{'':<{WIDTH}}recall@100    p50 ms   p99 ms",
    ]
    searches = {kind: figures.search for kind, figures in candidates.kinds.items()}
    searches |= {f"filter, {name}": figures.search for name, figures in candidates.filters.items()}
    lines += [_candidate_line(name, f"{search.recall:.4f}", search.latency) for name, search in searches.items()]
    lines += [
        f"filter, {name}: {figures.choose_ms:.2f} ms to choose its {figures.photos} photos"
        for name, figures in candidates.filters.items()
        if figures.choose_ms is not None
    ]
    for point in candidates.curve:
        recall = "/".join(f"{search.recall:.3f}" for search in point.kinds.values())
        setting = f"probes {point.parameters.nprobe} depth {point.parameters.refine_k}"
        lines.append(_candidate_line(setting, recall, point.latency))
    return lines


def _candidate_line(name: str, recall: str, latency: Latency) -> str:
    """Format one line of the table of candidates."""
    return f"{name:<{WIDTH}}{recall:>11}{latency.p50_ms:>9.2f}{latency.p99_ms:>9.2f}"


def _baseline_lines(baselines: Mapping[str, BaselineFigures | MissingBaseline]) -> list[str]:
    """Format the table of baselines, and what each one is."""
    lines = [f"{'peer':<{WIDTH}} recall@100   p50 ms   p99 ms   bytes   build s   times slower"]
    for name, figures in baselines.items():
        if isinstance(figures, MissingBaseline):
            lines.append(f"{name:<{WIDTH}}{figures.reason}")
            continue
        latency = figures.search.latency
        lines.append(
            f"{name:<{WIDTH}}{figures.search.recall:>11.4f}{latency.p50_ms:>9.2f}{latency.p99_ms:>9.2f}"
            f"{figures.bytes_per_photo:>8.0f}{figures.build_seconds:>10.1f}{figures.times_slower:>15.2f}"
        )
    lines += [
        f"  {name}: {known.description}" for name, known in baselines.items() if isinstance(known, BaselineFigures)
    ]
    return lines
