"""Compare each stage of a search with the machine's limits: the bytes it reads, and the operations it computes.

A stage takes at least as long as reading its bytes at the machine's bandwidth, and as its operations at the machine's
rate (the roofline model; Williams, Waterman and Patterson 2009, https://doi.org/10.1145/1498765.1498785).
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from indexer.encoders import TextEncoder, open_text_encoder
from indexer.inference.export import export_folder
from indexer.inference.openvino_runtime import openvino_core
from indexer.views.ann_search import TUNED_COUNT, exact_count
from indexer.views.view import View
from search.bench.ann_parameters import resident_bytes
from search.bench.timing import Latency
from search.searcher import Searcher

# Bytes read to measure the bandwidth of memory: far more than any cache holds.
MEMORY_BYTES = 1 << 28
# Side of the square matrices whose product measures a rate of operations.
MATRIX = 1_024
# Repetitions of each measurement; the fastest counts.
TRIALS = 7
# Word pieces that a short query is padded to.
TEXT_WIDTH = 16
# Bytes per weight of a text encoder, where not 4.
WEIGHT_BYTES = {"bf16": 2, "f16": 2, "int8": 1}


@dataclass(frozen=True, slots=True)
class MachineRates:
    """Rates that the machine reaches, on one thread except for the network.

    Attributes:
        memory_gb_per_s: Gigabytes read from memory per second.
        float32_gflops: 1e9 float32 operations of NumPy per second.
        network_gflops: 1e9 operations of OpenVINO per second, with the precision and threads of the text encoder.
    """

    memory_gb_per_s: float
    float32_gflops: float
    network_gflops: float


@dataclass(frozen=True, slots=True)
class Work:
    """The least work of one query: bytes that are read, and operations (a product and a sum are two)."""

    bytes: float
    operations: float


@dataclass(frozen=True, slots=True)
class StageRoofline:
    """One stage beside its limit.

    Attributes:
        bytes: Bytes that it reads at least.
        operations: Operations that it computes at least.
        least_ms: The longer of the times that these take at the machine's rates, in milliseconds.
        bound: Which of the two takes longer, `bytes` or `operations`.
        ratio: The median time of the stage over `least_ms`.
    """

    bytes: int
    operations: int
    least_ms: float
    bound: str
    ratio: float

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "bytes": self.bytes,
            "operations": self.operations,
            "floor_ms": self.least_ms,
            "bound": self.bound,
            "times_floor": self.ratio,
        }


@dataclass(frozen=True, slots=True)
class Roofline:
    """The rates of the machine, and each stage of a query beside them."""

    machine: MachineRates
    stages: dict[str, StageRoofline]

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        stages = {stage: figures.as_dict() for stage, figures in self.stages.items()}
        return {**asdict(self.machine), "stages": stages}


def measure_roofline(searcher: Searcher, latency: Mapping[str, Latency]) -> Roofline:
    """Measure the rates of the machine, and compare the stages of single queries with them.

    The rate of reading is that of a second reading of the same number of bytes, from a cache or from memory.

    Args:
        searcher: The searcher.
        latency: The latency of its stages, by name.

    Returns:
        The rates and the stages.
    """
    ranker = searcher.ranker
    encoder = open_text_encoder(ranker.text_encoder, ranker.text_encoder_name)
    encoder.encode(["a dog"])  # chooses the precision, which the rate depends on
    machine = MachineRates(
        round(MEMORY_BYTES / read_seconds(MEMORY_BYTES) / 1e9, 1),
        round(float32_rate() / 1e9, 1),
        round(network_rate(encoder.precision) / 1e9, 1),
    )
    stages = {
        stage: _stage_roofline(
            work, machine.network_gflops if stage == "encode" else machine.float32_gflops, latency[stage]
        )
        for stage, work in _work_of_stages(searcher, encoder).items()
    }
    return Roofline(machine, stages)


def candidate_work(view: View) -> Work:
    """Compute the least work of one search for candidates, for the first kind of query.

    A byte of a visited list counts as two operations, as it holds two codes. A coordinate of a list's centre, of an
    8-bit code, or of a row that is scored exactly counts as two as well.

    Args:
        view: The view.

    Returns:
        The work.
    """
    size = resident_bytes(view)
    k = view.z.shape[1] + 1
    if view.tuning is None or view.codes is None:
        return Work(float(size), 2.0 * view.rows * k)
    nlist, used = view.tuning.nlist, next(iter(view.tuning.kinds.values()))
    lists_read = size * used.nprobe / nlist
    byte_codes = used.refine_k * view.codes.codes.shape[1]
    exact = exact_count(TUNED_COUNT) * k
    return Work(lists_read + byte_codes + 2.0 * exact, 2.0 * (lists_read + nlist * k + byte_codes + exact))


def read_seconds(size: int) -> float:
    """Measure how long one thread takes to read bytes for the second time, by a dot product of their halves.

    Args:
        size: How many bytes. Up to `MEMORY_BYTES` are read, and the time is scaled.

    Returns:
        The seconds.
    """
    counted = max(min(size, MEMORY_BYTES), 4_096)
    row = np.ones(counted // 4, np.float32)
    half = len(row) // 2
    return _fastest(lambda: row[:half] @ row[half : 2 * half]) * size / counted


def float32_rate() -> float:
    """Measure the operations per second of a float32 matrix product by NumPy."""
    left = np.ones((MATRIX, MATRIX), np.float32)
    return 2 * MATRIX**3 / _fastest(lambda: left @ left)


def network_rate(precision: str) -> float:
    """Measure the operations per second of a matrix product by OpenVINO, as a text encoder runs it.

    Args:
        precision: The precision of the text encoder.

    Returns:
        The rate.
    """
    import openvino
    from openvino import opset13 as ops

    weights = ops.constant(np.ones((MATRIX, MATRIX), np.float32))
    given = ops.parameter([MATRIX, MATRIX], np.float32)
    model = openvino.Model([ops.matmul(given, weights, False, False)], [given], "product")
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision if precision != "auto" else "f32"}
    request = openvino_core().compile_model(model, "CPU", settings).create_infer_request()
    inputs = np.ones((MATRIX, MATRIX), np.float32)
    return 2 * MATRIX**3 / _fastest(lambda: request.infer([inputs], share_inputs=True, share_outputs=True))


def matrix_weights(key: str) -> int:
    """Count the weights of the matrices that an exported text encoder multiplies every word piece with.

    Args:
        key: The fingerprint of the text encoder.

    Returns:
        The number of weights.
    """
    path, weights = export_folder(key) / "model.xml", 0
    for node in openvino_core().read_model(path).get_ops():
        if node.get_type_name() != "MatMul":
            continue
        for value in node.input_values():
            source = value.get_node()
            while source.get_type_name() in ("Convert", "Transpose", "Reshape"):
                source = source.input_value(0).get_node()
            if source.get_type_name() == "Constant":
                weights += int(np.prod(source.get_output_shape(0)))
    return weights


def _work_of_stages(searcher: Searcher, encoder: TextEncoder) -> dict[str, Work]:
    """Return the least work of each stage of one query."""
    ranker, view = searcher.ranker, searcher.view
    joint_space = ranker.joint_space
    weights = matrix_weights(ranker.text_encoder)
    maps = [
        joint_space.map.B,
        joint_space.meaning.B,
        joint_space.class_names.keys,
        joint_space.class_names.values,
        joint_space.hubness.turn,
        joint_space.hubness.photos,
    ]
    mapped = sum(part.size for part in [*maps, ranker.ranking_mlp.Wt, ranker.relevance_mlp.Wt])
    k, m = view.z.shape[1] + 1, view.hidden.shape[1]
    regions = 0 if view.regions is None else int(np.prod(view.regions.shape[1:]))
    second_layers = ranker.ranking_mlp.W2.size + ranker.relevance_mlp.W2.size
    count = min(searcher.candidates, view.total_rows)
    return {
        "encode": Work(weights * WEIGHT_BYTES.get(encoder.precision, 4), 2 * weights * TEXT_WIDTH),
        "map": Work(4 * mapped, 2 * mapped),
        "candidates": candidate_work(view),
        "rerank": Work(count * (2 * (k + m) + regions), 2 * count * (k + m + second_layers + regions)),
    }


def _stage_roofline(work: Work, gflops: float, latency: Latency) -> StageRoofline:
    """Compare the median time of a stage with the least time that its work takes."""
    reading, computing = read_seconds(int(work.bytes)) * 1e3, work.operations / gflops / 1e6
    least = max(reading, computing)
    return StageRoofline(
        round(work.bytes),
        round(work.operations),
        round(least, 4),
        "bytes" if reading >= computing else "operations",
        round(latency.p50_ms / least, 1),
    )


def _fastest(act: Callable[[], object]) -> float:
    """Return the seconds of the fastest of `TRIALS` calls."""
    times = []
    for _ in range(TRIALS):
        begin = time.perf_counter()
        act()
        times.append(time.perf_counter() - begin)
    return min(times)
