"""The runtime of the networks, as a process meets it the first time: from several threads at once."""

import subprocess
import sys

# A thread that has the interpreter keeps it until it has to wait, so that all are at the same place at the same time.
FIRST_USE = """
import sys, threading, time
from indexer.encoders.network import runtime
openvino = runtime()
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


def test_threads_that_use_it_first_together_do_not_wait_for_each_other_for_ever() -> None:
    # They would, holding the interpreter, so that only another process can say so; four times out of five.
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", FIRST_USE], capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout == "0\n"
