"""What the machine could do: bytes over bandwidth, operations over rate; and how far from it each stage stands."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from indexer.encoders import open_text_encoder
from indexer.encoders.network import core, export_folder
from search.bench.ann_parameters import needs
from search.searcher import Searcher

MEMORY_BYTES = 1 << 28  # far more than any cache
MATRIX = 1_024
TRIALS = 7
TEXT_WIDTH = 16  # word pieces that a short query is padded to
WEIGHT_BYTES = {"bf16": 2, "f16": 2, "int8": 1}


def measure_roofline(searcher: Searcher, stages: dict[str, dict[str, float]]) -> dict[str, Any]:
    """The machine's rates, and of every stage of one query `bytes` that it reads at least, `operations` (a product and
    a sum are two), `floor_ms`: the longer of what both take at the rates, and `times_floor`: its median over that.

    The rates are measured on one thread, the network's (`network_gflops`, in the encoder's precision) on as many as the
    text encoder has. Bytes are read from wherever a second reading of so many finds them, cache or memory.
    """
    ranker, view = searcher.ranker, searcher.view
    encoder = open_text_encoder(ranker.text_encoder, ranker.text_encoder_name)
    encoder.encode(["a dog"])  # which settles its precision
    machine = {
        "memory_gb_per_s": round(MEMORY_BYTES / read_seconds(MEMORY_BYTES) / 1e9, 1),
        "float32_gflops": round(float32_rate() / 1e9, 1),
        "network_gflops": round(network_rate(encoder.precision) / 1e9, 1),
    }
    weights = matrix_weights(ranker.text_encoder)
    joint_space = ranker.joint_space
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
    second = ranker.ranking_mlp.W2.size + ranker.relevance_mlp.W2.size
    count = min(searcher.candidates, view.total_rows)
    work = {
        "encode": (weights * WEIGHT_BYTES.get(encoder.precision, 4), 2 * weights * TEXT_WIDTH),
        "map": (4 * mapped, 2 * mapped),
        "candidates": needs(view),
        "rerank": (count * (2 * (k + m) + regions), 2 * count * (k + m + second + regions)),
    }
    found = {}
    for stage, (size, operations) in work.items():
        rate = machine["network_gflops" if stage == "encode" else "float32_gflops"]
        reading, computing = read_seconds(int(size)) * 1e3, operations / rate / 1e6
        floor = max(reading, computing)
        found[stage] = {
            "bytes": round(size),
            "operations": round(operations),
            "floor_ms": round(floor, 4),
            "bound": "bytes" if reading >= computing else "operations",
            "times_floor": round(stages[stage]["p50_ms"] / floor, 1),
        }
    return {**machine, "stages": found}


def read_seconds(size: int) -> float:
    """Seconds that one thread takes to read so many bytes again, by a dot product of their halves."""
    counted = max(min(size, MEMORY_BYTES), 4_096)
    row = np.ones(counted // 4, np.float32)
    half = len(row) // 2
    return _fastest(lambda: row[:half] @ row[half : 2 * half]) * size / counted


def float32_rate() -> float:
    """Operations a second of a float32 matrix product by NumPy."""
    left = np.ones((MATRIX, MATRIX), np.float32)
    return 2 * MATRIX**3 / _fastest(lambda: left @ left)


def network_rate(precision: str) -> float:
    """Operations a second of a matrix product by OpenVINO, as a text encoder runs it."""
    import openvino
    from openvino import opset13 as ops

    weights = ops.constant(np.ones((MATRIX, MATRIX), np.float32))
    given = ops.parameter([MATRIX, MATRIX], np.float32)
    model = openvino.Model([ops.matmul(given, weights, False, False)], [given], "product")
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision if precision != "auto" else "f32"}
    request = core().compile_model(model, "CPU", settings).create_infer_request()
    inputs = np.ones((MATRIX, MATRIX), np.float32)
    return 2 * MATRIX**3 / _fastest(lambda: request.infer([inputs], share_inputs=True, share_outputs=True))


def matrix_weights(key: str) -> int:
    """How many numbers the matrices have that an exported encoder multiplies every word piece with."""
    path, weights = export_folder(key) / "model.xml", 0
    for node in core().read_model(path).get_ops():
        if node.get_type_name() != "MatMul":
            continue
        for value in node.input_values():
            source = value.get_node()
            while source.get_type_name() in ("Convert", "Transpose", "Reshape"):
                source = source.input_value(0).get_node()
            if source.get_type_name() == "Constant":
                weights += int(np.prod(source.get_output_shape(0)))
    return weights


def _fastest(act: Callable[[], object]) -> float:
    times = []
    for _ in range(TRIALS):
        begin = time.perf_counter()
        act()
        times.append(time.perf_counter() - begin)
    return min(times)
