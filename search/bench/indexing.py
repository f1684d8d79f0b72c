"""How fast a folder becomes rows: photoseek's pipeline, its two halves alone, and the way peers index."""

import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from indexer.embedding.pipeline import Decoding, embed_files, sample_pixels
from indexer.encoders import ImageEncoder, load_image_encoder
from indexer.encoders.base import BATCH
from indexer.encoders.int8 import tried
from indexer.errors import PhotoseekError
from indexer.photos.decode_pool import DecodeWorkers
from indexer.photos.scan import PhotoFile, Skipped, walk

PEER_BATCH, PEER_WORKERS = 32, 2
HELD = 128


def measure_indexing(
    photos: str | Path,
    encoder_name: str = "efficientnet-lite",
    count: int = 500,
    *,
    repeats: int = 3,
    peers: bool = True,
    precision: str = "auto",
    on_stage: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> dict[str, Any]:
    """Photos a second over the first `count` photos of a folder, but for those that cannot be read; medians of
    interleaved repeats on the cores there are.

    `pipeline.photos_per_s`: files to rows as `photoseek build` makes them, worker processes started anew each time,
    the network loaded before. `decode.photos_per_s`, `inference.photos_per_s`: each half alone, on all cores.
    `bound_photos_per_s` = 1 / (1 / decode + 1 / inference), what both together can reach at most, and `bound_share`
    of it. `peer.photos_per_s`: Pillow, torchvision's transforms and the same network in torch float32, batches of 32,
    by a DataLoader with 2 workers or in a plain loop, whichever is faster; `speedup` over it. `peak_mb`: of this
    process once the pipeline has run. torchvision networks get random weights, on which the speed does not depend;
    int8 is calibrated on the photos. Nothing is written but caches. Raises PhotoseekError for a folder without photos,
    or an encoder of another kind than those two.
    """
    root = os.path.abspath(os.fsencode(photos))
    files = [item for item in walk(os.fsdecode(root)) if isinstance(item, PhotoFile)][:count]
    if not files:
        raise PhotoseekError(f"no photos found under {os.fsdecode(root)!r}")
    encoder, network = _networks(encoder_name, precision)
    pixels = sample_pixels(root, files, encoder.fit, Decoding(), HELD)
    if not len(pixels):
        raise PhotoseekError(f"no photo under {os.fsdecode(root)!r} can be read")
    scratch = tempfile.TemporaryDirectory()
    if precision == "int8":
        tried(encoder.folder, Path(scratch.name), encoder.dim, BATCH, pixels)
        encoder.use_precision("int8", Path(scratch.name))
    encoder.encode(pixels)  # compiled, and the precision chosen
    read = [file for file, result in embed_files(root, files, encoder, Decoding()) if not isinstance(result, Skipped)]
    skipped, files = len(files) - len(read), read
    ways: dict[str, Callable[[], int]] = {
        "pipeline": lambda: sum(1 for _ in embed_files(root, files, encoder, Decoding())),
        "decode": lambda: _decode(root, files, encoder),
        "inference": lambda: _infer(pixels, encoder, len(files)),
    }
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    if peers:
        module = network()
        paths = [os.path.join(root, file.path) for file in files]
        ways["peer_loader"] = lambda: _peer(paths, encoder, module, PEER_WORKERS)
        ways["peer_loop"] = lambda: _peer(paths, encoder, module, 0)
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats):
        for place, (name, way) in enumerate(ways.items(), 1):
            start = time.perf_counter()
            done = way()
            rates[name].append(done / (time.perf_counter() - start))
            on_stage("indexing", turn * len(ways) + place, repeats * len(ways))
    rate = {name: statistics.median(found) for name, found in rates.items()}
    bound = 1 / (1 / rate["decode"] + 1 / rate["inference"])
    result: dict[str, Any] = {
        "encoder": encoder_name,
        "precision": encoder.precision,
        "photos": len(files),
        "skipped": skipped,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        **{name: {"photos_per_s": round(rate[name], 1)} for name in ("pipeline", "decode", "inference")},
        "bound_photos_per_s": round(bound, 1),
        "bound_share": round(rate["pipeline"] / bound, 3),
        "peak_mb": round(peak),
    }
    if peers:
        best = max(("peer_loader", "peer_loop"), key=lambda name: rate[name])
        how = f"DataLoader, {PEER_WORKERS} workers" if best == "peer_loader" else "plain loop"
        result["peer"] = {"photos_per_s": round(rate[best], 1), "way": f"{how}, batch {PEER_BATCH}, torch float32"}
        result["speedup"] = round(rate["pipeline"] / rate[best], 2)
    return result


def report(figures: dict[str, Any]) -> str:
    """The figures as text."""
    lines = [f"{figures['photos']} photos, {figures['encoder']} in {figures['precision']}, {figures['cores']} cores"]
    if figures["skipped"]:
        lines.append(f"{figures['skipped']} more cannot be read and are left out")
    for name, what in (("pipeline", "files to rows"), ("decode", "decoding alone"), ("inference", "the network alone")):
        lines.append(f"{what:<20}{figures[name]['photos_per_s']:>8.1f} photos/s")
    lines.append(
        f"{'both at most':<20}{figures['bound_photos_per_s']:>8.1f} photos/s, of which files to rows are "
        f"{100 * figures['bound_share']:.0f} %"
    )
    if "peer" in figures:
        peer = figures["peer"]
        lines.append(
            f"{'peer':<20}{peer['photos_per_s']:>8.1f} photos/s ({peer['way']}): {figures['speedup']} times slower"
        )
    lines.append(f"memory: peak mb {figures['peak_mb']}")
    return "\n".join(lines)


def _networks(name: str, precision: str) -> tuple[ImageEncoder, Callable[[], Any]]:
    """An encoder, and what loads the same network in torch: (n, size, size, 3) uint8 -> rows."""
    kind, _, rest = name.partition(":")
    if kind == "torchvision" and rest:
        from indexer.encoders.network import cache_folder
        from indexer.encoders.torchvision_models import torchvision_module

        weights = cache_folder() / "bench" / f"{rest}-random.pth"
        if not weights.exists():
            import torch
            from torchvision import models

            weights.parent.mkdir(parents=True, exist_ok=True)
            torch.manual_seed(0)
            torch.save(models.get_model(rest, weights=None).state_dict(), weights)
        encoder = load_image_encoder(name, device="cpu", precision=precision, weights=str(weights))
        return encoder, lambda: torchvision_module(rest, str(weights))
    if kind in ("efficientnet-lite", "efficientnet-lite2"):
        from indexer.encoders.efficientnet import photo_module

        return load_image_encoder(name, device="cpu", precision=precision), lambda: photo_module(name).eval()
    raise PhotoseekError(f"bench measures efficientnet-lite, efficientnet-lite2 and torchvision:NAME, not {name}")


def _decode(root: bytes, files: list[PhotoFile], encoder: ImageEncoder) -> int:
    """Every file once, by the pipeline's own workers."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    decoding = Decoding()
    with closing(DecodeWorkers(cores, encoder.fit, decoding.max_pixels, decoding.deadline, HELD)) as workers:
        futures = [workers.schedule(os.path.join(root, file.path), n % HELD) for n, file in enumerate(files)]
        return sum(future.exception() is None for future in futures)


def _infer(pixels: np.ndarray, encoder: ImageEncoder, count: int) -> int:
    """`count` or a few more photos through the network, from memory."""
    whole = np.resize(pixels, (-(-max(count, len(pixels)) // BATCH) * BATCH, *pixels.shape[1:]))
    return len(encoder.encode(whole))


class _Photos:
    """A torch dataset of files, as peers write it."""

    def __init__(self, paths: list[bytes], transform: Any) -> None:
        self.paths, self.transform = paths, transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> Any:
        from PIL import Image

        with Image.open(os.fsdecode(self.paths[number])) as image:
            return self.transform(image.convert("RGB"))


def _peer(paths: list[bytes], encoder: ImageEncoder, module: Any, workers: int) -> int:
    """Pillow, torchvision's Resize and CenterCrop, the network in torch."""
    import torch
    from torchvision import transforms

    fit = encoder.fit
    squash = [transforms.Resize((fit.size, fit.size))]
    crop = [transforms.Resize(fit.resize), transforms.CenterCrop(fit.size)]
    # The network of ours scales and normalises its pixels itself.
    transform = transforms.Compose([*(squash if fit.mode == "squash" else crop), transforms.PILToTensor()])
    loader: Iterable[Any] = torch.utils.data.DataLoader(
        _Photos(paths, transform),  # type: ignore[arg-type]
        batch_size=PEER_BATCH,
        num_workers=workers,
    )
    done = 0
    with torch.inference_mode():
        for batch in loader:
            done += len(module(batch.permute(0, 2, 3, 1)).numpy())
    return done
