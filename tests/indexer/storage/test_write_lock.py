import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from indexer.errors import PhotoseekError
from indexer.storage.write_lock import write_lock

CHECKOUT = Path(__file__).parents[3]


HOLD = """if True:
    import sys
    from pathlib import Path
    from indexer.storage.write_lock import write_lock
    with write_lock(Path(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.read()
"""


def holder(folder: Path) -> subprocess.Popen:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder], cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "held\n"
    return child


def test_a_second_writer_is_refused_with_the_process_and_the_host_of_the_first(tmp_path):
    with holder(tmp_path) as first:
        with pytest.raises(PhotoseekError) as refusal, write_lock(tmp_path):
            pass
        first.stdin.close()
    line = (
        f"index {tmp_path} is being written by process {first.pid} on {socket.gethostname()}; try again when it is done"
    )
    assert str(refusal.value) == line
    with write_lock(tmp_path):
        assert json.loads((tmp_path / "writer.json").read_text())["pid"] == os.getpid()
    assert not (tmp_path / "writer.json").exists()


def test_a_writer_that_is_killed_leaves_the_lock_free(tmp_path):
    with holder(tmp_path) as first:
        first.send_signal(signal.SIGKILL)
    with write_lock(tmp_path):
        assert json.loads((tmp_path / "writer.json").read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("content", ["", "[1]", '{"pid": 1}'])
def test_a_lock_whose_holder_cannot_be_told_is_still_a_lock(tmp_path, content):
    with write_lock(tmp_path):
        (tmp_path / "writer.json").write_text(content)
        with pytest.raises(PhotoseekError) as refusal, write_lock(tmp_path):
            pass
    assert str(refusal.value) == f"index {tmp_path} is being written by another process; try again when it is done"


def test_the_lock_is_freed_by_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), write_lock(tmp_path):
        _ = 1 / 0
    with write_lock(tmp_path):
        pass
