"""The figures of a benchmark for people: a table, and the curve of recall against time."""

from pathlib import Path
from typing import Any

from indexer.storage.atomic_files import whole_file

WIDTH = 25


def report(figures: dict[str, Any]) -> str:
    """The figures as text."""
    lines = [f"{figures['photos']} photos, {figures['queries']} warm queries, {figures['reranked']} reranked"]
    if "synthetic" in figures:
        lines += ["", *_likeness(figures["synthetic"])]
    floors = figures["floor"]["stages"]
    lines += ["", "stage          p50 ms   p95 ms   p99 ms   floor ms   times floor"]
    for stage, values in figures["stages"].items():
        line = f"{stage:<12}{values['p50_ms']:>9.2f}{values['p95_ms']:>9.2f}{values['p99_ms']:>9.2f}"
        floor = floors.get(stage)
        lines.append(line + (f"{floor['floor_ms']:>11.3f}{floor['times_floor']:>14.1f}" if floor else ""))
    machine = figures["floor"]
    lines.append(
        f"floor: {machine['memory_gb_per_s']:.1f} GB/s from memory, {machine['float32_gflops']:.0f} GFLOP/s float32, "
        f"one thread; {machine['network_gflops']:.0f} GFLOP/s in the text encoder's precision"
    )
    lines += ["", *_cold(figures["cold"])]
    for size, values in figures["throughput"].items():
        lines.append(
            f"batches of {size:>4}: {values['queries_per_s']:.0f} queries/s, candidates alone "
            f"{values['candidates_per_s']:.0f}"
        )
    memory = {name.replace("_", " "): value for name, value in figures["memory"].items()}
    lines.append("memory: " + ", ".join(f"{name} {value}" for name, value in memory.items()))
    lines += ["", *_candidates(figures)]
    if "peers" in figures:
        lines += ["", *_peers(figures["peers"])]
    return "\n".join(lines)


def plot(figures: dict[str, Any], path: Path) -> None:
    """Recall@100 against the median time of one search, as SVG, PNG or whatever else matplotlib writes.

    A dot is a setting; a line goes through those that no other one beats, a star marks what a search does unasked.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import AutoLocator, LogLocator, NullLocator

    with mpl.rc_context({"svg.hashsalt": "photoseek", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=(7, 4.5), layout="constrained")
        axes = figure.subplots()
        for kind in ("captions", "words"):
            if kind in figures["candidates"]:
                chosen = figures["candidates"][kind]
                _draw(axes, f"photoseek, {kind}", [*(point[kind] for point in figures["curve"]), chosen], chosen)
        for name, peer in figures.get("peers", {}).items():
            if "missing" not in peer:
                only = {**peer["candidates"], **peer["stages"]["candidates"]}
                _draw(axes, name, peer.get("curve") or [only])
        axes.plot([], [], "*", color="grey", markersize=14, label="as photoseek searches")
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if high > 10 * low else AutoLocator())
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel("ms a search, median, one thread")
        axes.set_ylabel("recall@100")
        axes.set_title(f"{figures['photos']:,} photos")
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)
        with whole_file(path) as scratch:
            figure.savefig(scratch, metadata={"Date": None} if path.suffix == ".svg" else None)


def unbeaten(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The Pareto front of measured settings, fastest first: those that find more than every one as fast or faster."""
    front: list[dict[str, Any]] = []
    for point in sorted(points, key=lambda point: (point["p50_ms"], -point["recall@100"])):
        if not front or point["recall@100"] > front[-1]["recall@100"]:
            front.append(point)
    return front


def _draw(axes: Any, label: str, points: list[dict[str, Any]], chosen: dict[str, Any] | None = None) -> None:
    """One way to search: its settings as dots, the front as a line, the chosen setting as a star."""
    (line,) = axes.plot(*_places(unbeaten(points)), label=label, linestyle="-" if chosen else "--")
    axes.plot(*_places(points), ".", color=line.get_color(), alpha=0.5)
    if chosen is not None:
        axes.plot(*_places([chosen]), "*", color=line.get_color(), markersize=14, markeredgecolor="black", zorder=3)


def _places(points: list[dict[str, Any]]) -> tuple[list[float], list[float]]:
    return [point["p50_ms"] for point in points], [point["recall@100"] for point in points]


def _likeness(synthetic: dict[str, Any]) -> list[str]:
    real, made = synthetic["real"], synthetic["synthetic"]
    lines = [
        f"synthetic: {synthetic['photos']} photos in {synthetic['folder']}",
        f"real and synthetic, {synthetic['compared']} photos each; largest deviation "
        f"{100 * synthetic['largest_deviation']:.1f} % (of queries {100 * synthetic['query_deviation']:.1f} %)",
        f"  intrinsic dimension ({synthetic['estimator']}): {real['intrinsic_dimension']:.1f}, "
        f"{made['intrinsic_dimension']:.1f}",
    ]
    for name, what in (
        ("similarity", "cosine to the 100 nearest photos"),
        ("query_score", "100 best scores of queries"),
    ):
        pairs = (f"{q} {value:.3f}, {made[name][q]:.3f}" for q, value in real[name].items())
        lines.append(f"  {what}: " + "; ".join(pairs))
    return lines


def _cold(cold: dict[str, float]) -> list[str]:
    lines = [f"fresh process, to the printed result: {cold['total_ms']:.0f} ms, median of {cold['runs']}"]
    if "dropped_total_ms" in cold:
        lines += [
            f"the same with the index's files dropped from the cache: {cold['dropped_total_ms']:.0f} ms",
            f"first answer of an open index after that: {cold['first_query_ms']:.1f} ms; later ones, dropped before "
            f"each: {cold['query_ms']:.1f} ms",
        ]
    return lines


def _candidates(figures: dict[str, Any]) -> list[str]:
    candidates = figures["candidates"]
    lines = [f"candidates, recall@100 against exact search: {candidates['recall@100']:.4f}"]
    rows = {name: candidates[name] for name in ("captions", "words") if name in candidates}
    rows |= {f"filter, {name}": values for name, values in figures["filters"].items()}
    rows |= {" ".join(f"{k} {v}" for k, v in _setting(point).items()): point for point in figures["curve"]}
    lines.append(f"{'':<{WIDTH}}recall@100    p50 ms   p99 ms")
    for name, values in rows.items():
        found = values.get("recall@100")
        both = "/".join(f"{values[kind]['recall@100']:.3f}" for kind in ("captions", "words") if kind in values)
        shown = both if found is None else f"{found:.4f}"
        lines.append(f"{name:<{WIDTH}}{shown:>11}{values['p50_ms']:>9.2f}{values['p99_ms']:>9.2f}")
    return lines


def _setting(point: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in point.items() if isinstance(value, int)}


def _peers(peers: dict[str, Any]) -> list[str]:
    lines = [f"{'peer':<{WIDTH}} recall@100   p50 ms   p99 ms   bytes   build s   times slower"]
    for name, peer in peers.items():
        if "missing" in peer:
            lines.append(f"{name:<{WIDTH}}{peer['missing']}")
            continue
        times = peer["stages"]["candidates"]
        lines.append(
            f"{name:<{WIDTH}}{peer['candidates']['recall@100']:>11.4f}{times['p50_ms']:>9.2f}{times['p99_ms']:>9.2f}"
            f"{peer['memory']['candidate_bytes_per_photo']:>8.0f}{peer['build_s']:>10.1f}{peer['times_slower']:>15.2f}"
        )
    lines += [f"  {name}: {peer['what']}" for name, peer in peers.items() if "what" in peer]
    return lines
