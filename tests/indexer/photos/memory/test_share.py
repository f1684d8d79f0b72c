import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from indexer.photos.memory import share
from indexer.photos.memory.share import MemoryShare, shared_bytes

LIMITED = """if True:
    from indexer.photos.memory.share import limit_growth
    limit_growth(50_000_000)
    kept = bytearray(b"x" * 20_000_000)
    try:
        bytearray(b"x" * 60_000_000)
    except MemoryError:
        print("refused")
    limit_growth(200_000_000)  # from what it has by now
    print(len(bytearray(b"x" * 60_000_000)))
"""


def test_what_is_not_there_is_waited_for():
    memory, order = MemoryShare(10), []
    small_may_go, large_is_in = threading.Event(), threading.Event()

    def small() -> None:
        with memory.taken(6):
            order.append("small")
            large.start()
            with memory.taken(4), memory.taken(0):
                order.append("what is left, and nothing")
            small_may_go.wait()
            order.append("small goes")

    def take_large() -> None:
        with memory.taken(25):  # over the whole, so alone
            order.append("large")
            large_is_in.set()

    large = threading.Thread(target=take_large)
    first = threading.Thread(target=small)
    first.start()
    assert not large_is_in.wait(0.2)
    small_may_go.set()
    first.join()
    large.join()
    assert order == ["small", "what is left, and nothing", "small goes", "large"]


def test_memory_is_given_back_after_an_error():
    memory = MemoryShare(10)
    with pytest.raises(KeyError), memory.taken(10):
        raise KeyError
    with memory.taken(10):
        pass


def test_a_quarter_of_the_memory_of_machine_or_container_is_shared(tmp_path, monkeypatch):
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    monkeypatch.setattr(share, "CONTAINER_LIMIT", tmp_path / "memory.max")
    assert shared_bytes() == machine // 4
    for limit, expected in (("max\n", machine // 4), ("40000000\n", 10_000_000)):
        (tmp_path / "memory.max").write_text(limit)
        assert shared_bytes() == expected


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds a process's data")
def test_a_process_gets_no_more_memory_than_its_limit():
    command = [sys.executable, "-c", LIMITED]
    done = subprocess.run(command, cwd=Path(__file__).parents[4], capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n60000000\n"
