"""The end of a watch by a signal, wherever it comes."""

import os
import signal
from contextlib import suppress
from pathlib import Path

from photoseek.commands.watch import watch_until_stopped


def test_a_signal_whose_exception_is_dropped_ends_the_watch_after_the_build(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    builds: list[float] = []
    handler = signal.getsignal(signal.SIGTERM)

    def build(settle_seconds: float) -> bool:
        builds.append(settle_seconds)
        with suppress(KeyboardInterrupt):  # as Python does while it frees an object
            os.kill(os.getpid(), signal.SIGTERM)
        return True

    watch_until_stopped([str(tmp_path / "photos")], tmp_path / "index", build)
    assert len(builds) == 1
    assert signal.getsignal(signal.SIGTERM) is handler
