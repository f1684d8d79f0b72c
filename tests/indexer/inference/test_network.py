"""The runtime of the networks, as a process meets it the first time, and what it compiles."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from indexer.encoders import load_text_encoder
from indexer.inference.network import Network, compiled_folder
from indexer.inference.precision import float_precision

# A thread that has the interpreter keeps it until it has to wait, so that all are at the same place at the same time.
FIRST_USE = """
import sys, threading, time
from indexer.inference.openvino_runtime import openvino_runtime
openvino = openvino_runtime()
sys.setswitchinterval(5)
together = threading.Barrier(8)

def use():
    together.wait()
    end = time.monotonic() + 0.02
    while time.monotonic() < end:
        pass
    assert openvino.Type.u8.to_dtype() == "uint8"

threads = [threading.Thread(target=use, daemon=True) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(20)
print(sum(thread.is_alive() for thread in threads))
"""

SIGNAL = """
import signal, sys, threading
from pathlib import Path
import numpy as np
from indexer.inference.network import Network
folder, ids = Path(sys.argv[1]), np.ones((1, 4), np.int64)
handled = []
signal.signal(signal.SIGUSR1, lambda *_: handled.append(1))
kept = [Network(folder, "f32", "latency"), Network(folder, "f32", "throughput")]
signal.raise_signal(signal.SIGUSR1)
while kept:
    last = threading.Thread(target=kept.pop)
    last.start()
    last.join()
    signal.raise_signal(signal.SIGUSR1)
print(len(handled))
"""


def test_threads_that_use_it_first_together_do_not_wait_for_each_other_for_ever() -> None:
    # They would, holding the interpreter, so that only another process can say so; four times out of five.
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", FIRST_USE], capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout == "0\n"


def test_a_precision_does_not_read_what_another_one_compiled(tmp_path: Path) -> None:
    # OpenVINO would, with a memory fault or NaN where the CPU packs weights otherwise for bfloat16.
    encoder = load_text_encoder("minilm")
    encoder.encode(["a dog"])
    folder = tmp_path / "minilm"
    shutil.copytree(encoder.folder, folder, ignore=shutil.ignore_patterns("compiled"))
    ids, mask = np.arange(2000, 2120).reshape(8, 15), np.ones((8, 15), np.int64)
    exact, fast, again = (Network(folder, p, "latency")(ids, mask) for p in ("f32", float_precision("auto"), "f32"))
    assert np.array_equal(again, exact)
    cosines = (exact * fast).sum(axis=1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(fast, axis=1)
    assert cosines.min() > 0.999
    assert len(list(compiled_folder(folder).iterdir())) == len({"f32", float_precision("auto")})


def test_a_signal_is_handled_after_networks_went_in_another_thread() -> None:
    # With a core of its own each, the last one takes the memory along that handlers of signals run in.
    encoder = load_text_encoder("minilm")
    ran = subprocess.run(
        [sys.executable, "-c", SIGNAL, str(encoder.folder)], capture_output=True, text=True, timeout=60
    )
    assert (ran.returncode, ran.stdout) == (0, "3\n"), ran.stderr
