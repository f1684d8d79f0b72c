"""Measure how fast a folder is indexed: photoseek's pipeline, its two halves alone, and the usual way with torch."""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from indexer.cpu_count import usable_cores
from indexer.embedding.pipeline import Decoding, embed_files, sample_pixels
from indexer.encoders import ImageEncoder
from indexer.encoders.image_encoder import IMAGE_BATCH
from indexer.errors import PhotoseekError
from indexer.inference.int8 import run_trial
from indexer.photos.decode_pool import DecodeWorkers
from indexer.photos.found_files import PhotoFile, Skipped
from indexer.photos.scan import walk
from search.bench.indexing_baseline import BATCH_PHOTOS, index_by_torch, load_networks
from search.bench.memory import peak_megabytes

# Processes of the baseline's DataLoader.
BASELINE_WORKERS = 2
# Decoded photos held in memory at a time.
HELD = 128
# The baseline's ways, of which the faster one counts, in words.
BASELINE_WAYS = {"baseline_loader": f"DataLoader, {BASELINE_WORKERS} workers", "baseline_loop": "plain loop"}

OnStage = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class BaselineIndexing:
    """The speed of the usual way: Pillow, torchvision's transforms, the same network in torch.

    Attributes:
        photos_per_s: Photos per second.
        way: The faster of the two ways, in words.
        speedup: How many times faster photoseek's pipeline is.
    """

    photos_per_s: float
    way: str
    speedup: float


@dataclass(frozen=True, slots=True)
class IndexingBenchmark:
    """The speed of indexing a folder, in photos per second.

    Attributes:
        encoder: Name of the image encoder.
        precision: The number format that it computes in.
        photos: How many photos were indexed.
        skipped: How many more could not be read.
        cores: How many cores this process may use.
        pipeline: Photo files to embeddings, as `photoseek build` does it, with new worker processes each time.
        decode: Decoding alone, on all cores.
        inference: The network alone, on all cores.
        bound: 1 / (1 / decode + 1 / inference): what both together can reach at most.
        bound_share: The share of the bound that the pipeline reaches, 0 to 1.
        peak_mb: Megabytes of memory of this process after the pipeline ran.
        baseline: The usual way beside it; None if it was not measured.
    """

    encoder: str
    precision: str
    photos: int
    skipped: int
    cores: int
    pipeline: float
    decode: float
    inference: float
    bound: float
    bound_share: float
    peak_mb: int
    baseline: BaselineIndexing | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        values: dict[str, Any] = {
            "encoder": self.encoder,
            "precision": self.precision,
            "photos": self.photos,
            "skipped": self.skipped,
            "cores": self.cores,
            "pipeline": {"photos_per_s": self.pipeline},
            "decode": {"photos_per_s": self.decode},
            "inference": {"photos_per_s": self.inference},
            "bound_photos_per_s": self.bound,
            "bound_share": self.bound_share,
            "peak_mb": self.peak_mb,
        }
        if self.baseline is not None:
            values["peer"] = {"photos_per_s": self.baseline.photos_per_s, "way": self.baseline.way}
            values["speedup"] = self.baseline.speedup
        return values


def measure_indexing(
    photos: str | Path,
    encoder_name: str = "efficientnet-lite",
    count: int = 500,
    *,
    repeats: int = 3,
    with_baseline: bool = True,
    precision: str = "auto",
    on_stage: OnStage = lambda stage, done, total: None,
) -> IndexingBenchmark:
    """Measure how fast a folder is indexed, on all cores. Nothing is written but caches.

    The ways alternate, and medians over the repeats count. Networks of torchvision get random weights, on which the
    speed does not depend; int8 is calibrated on the photos.

    Args:
        photos: The photo folder.
        encoder_name: An EfficientNet-Lite or `torchvision:NAME`.
        count: How many photos at most, the first ones; those that cannot be read are left out.
        repeats: How often each way is timed.
        with_baseline: Measure the usual way beside it.
        precision: The number format that the encoder computes in.
        on_stage: Called with (stage, done, total).

    Returns:
        The figures.

    Raises:
        PhotoseekError: The folder has no photos that can be read, or the encoder is of another kind.
    """
    with tempfile.TemporaryDirectory() as scratch:
        task = _prepare(photos, encoder_name, count, precision, Path(scratch))
        peak = peak_megabytes()
        ways = {"pipeline": task.index, "decode": task.decode, "inference": task.infer}
        if with_baseline:
            module = task.torch_network()
            ways["baseline_loader"] = lambda: task.index_by_torch(module, BASELINE_WORKERS)
            ways["baseline_loop"] = lambda: task.index_by_torch(module, 0)
        rate = _median_rates(ways, repeats, on_stage)
    bound = 1 / (1 / rate["decode"] + 1 / rate["inference"])
    return IndexingBenchmark(
        encoder=encoder_name,
        precision=task.encoder.precision,
        photos=len(task.files),
        skipped=task.skipped,
        cores=usable_cores(),
        pipeline=round(rate["pipeline"], 1),
        decode=round(rate["decode"], 1),
        inference=round(rate["inference"], 1),
        bound=round(bound, 1),
        bound_share=round(rate["pipeline"] / bound, 3),
        peak_mb=round(peak),
        baseline=_baseline_figures(rate) if with_baseline else None,
    )


def format_indexing(figures: IndexingBenchmark) -> str:
    """Format the figures as text.

    Args:
        figures: The figures.

    Returns:
        The lines, without a final newline.
    """
    lines = [f"{figures.photos} photos, {figures.encoder} in {figures.precision}, {figures.cores} cores"]
    if figures.skipped:
        lines.append(f"{figures.skipped} more cannot be read and are left out")
    for what, rate in (
        ("files to rows", figures.pipeline),
        ("decoding alone", figures.decode),
        ("the network alone", figures.inference),
    ):
        lines.append(f"{what:<20}{rate:>8.1f} photos/s")
    lines.append(
        f"{'both at most':<20}{figures.bound:>8.1f} photos/s, of which files to rows are "
        f"{100 * figures.bound_share:.0f} %"
    )
    if figures.baseline is not None:
        baseline = figures.baseline
        lines.append(
            f"{'peer':<20}{baseline.photos_per_s:>8.1f} photos/s ({baseline.way}): {baseline.speedup} times slower"
        )
    lines.append(f"memory: peak mb {figures.peak_mb}")
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Task:
    """The photos to index, and the encoder.

    `pixels`: some decoded photos, (n, size, size, 3) uint8; `skipped`: how many files cannot be read; `torch_network`
    loads the same network in torch, (n, size, size, 3) uint8 -> rows.
    """

    root: bytes
    files: list[PhotoFile]
    skipped: int
    encoder: ImageEncoder
    pixels: np.ndarray
    torch_network: Callable[[], Any]

    def index(self) -> int:
        """Index every file as `photoseek build` does; return their number."""
        return sum(1 for _ in embed_files(self.root, self.files, self.encoder, Decoding()))

    def decode(self) -> int:
        """Decode every file by the pipeline's own workers; return how many could be read."""
        decoding = Decoding()
        workers = DecodeWorkers(usable_cores(), self.encoder.transform, decoding.max_pixels, decoding.deadline, HELD)
        with closing(workers):
            paths = (os.path.join(self.root, file.path) for file in self.files)
            futures = [workers.schedule(path, n % HELD) for n, path in enumerate(paths)]
            return sum(future.exception() is None for future in futures)

    def infer(self) -> int:
        """Embed as many photos from memory as there are files, or a few more; return their number."""
        count = max(len(self.files), len(self.pixels))
        whole = np.resize(self.pixels, (-(-count // IMAGE_BATCH) * IMAGE_BATCH, *self.pixels.shape[1:]))
        return len(self.encoder.encode(whole))

    def index_by_torch(self, module: Any, workers: int) -> int:
        """Index every file as torch users do, with a DataLoader of `workers` processes; return the number of files."""
        paths = [os.path.join(self.root, file.path) for file in self.files]
        return index_by_torch(paths, self.encoder.transform, module, workers)


def _prepare(photos: str | Path, encoder_name: str, count: int, precision: str, scratch: Path) -> _Task:
    """Find the photos, load and compile the encoder, and index the photos once to find those that cannot be read.

    `scratch`: a folder for a calibrated network, which must last as long as the task.
    """
    root = os.path.abspath(os.fsencode(photos))
    files = [item for item in walk(os.fsdecode(root)) if isinstance(item, PhotoFile)][:count]
    if not files:
        raise PhotoseekError(f"no photos found under {os.fsdecode(root)!r}")
    encoder, torch_network = load_networks(encoder_name, precision)
    pixels = sample_pixels(root, files, encoder.transform, Decoding(), HELD)
    if not len(pixels):
        raise PhotoseekError(f"no photo under {os.fsdecode(root)!r} can be read")
    if precision == "int8":
        run_trial(encoder.folder, scratch, encoder.dim, IMAGE_BATCH, pixels)
        encoder.use_precision("int8", scratch)
    encoder.encode(pixels)  # compiles it, and chooses the precision
    read = [file for file, result in embed_files(root, files, encoder, Decoding()) if not isinstance(result, Skipped)]
    return _Task(root, read, len(files) - len(read), encoder, pixels, torch_network)


def _median_rates(ways: dict[str, Callable[[], int]], repeats: int, on_stage: OnStage) -> dict[str, float]:
    """Call each way in turn, `repeats` times; return the medians of photos per second by way."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats):
        for place, (name, way) in enumerate(ways.items(), 1):
            start = time.perf_counter()
            done = way()
            rates[name].append(done / (time.perf_counter() - start))
            on_stage("indexing", turn * len(ways) + place, repeats * len(ways))
    return {name: statistics.median(found) for name, found in rates.items()}


def _baseline_figures(rate: dict[str, float]) -> BaselineIndexing:
    """Return the figures of the faster way of the baseline."""
    best = max(BASELINE_WAYS, key=lambda name: rate[name])
    way = f"{BASELINE_WAYS[best]}, batch {BATCH_PHOTOS}, torch float32"
    return BaselineIndexing(round(rate[best], 1), way, round(rate["pipeline"] / rate[best], 2))
