"""Run `photoseek build --watch` until Ctrl-C or SIGTERM."""

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from photoseek.progress.console import say


def watch_until_stopped(photos: Sequence[str], folder: Path, build: Callable[[float], bool]) -> None:
    """Build whenever photo folders change. SIGTERM, as a service manager sends it, ends this without an error.

    Args:
        photos: The photo folders.
        folder: The index folder.
        build: Builds once, as `watch_folders` wants it.

    Raises:
        KeyboardInterrupt: The user wants it to end.
        PhotoseekError: The first build failed.
    """
    from indexer.photos.folder_names import existing_name
    from indexer.user_paths import absolute_path
    from photoseek.watching.watch import watch_folders

    is_terminated = False

    def terminate(_signal: int, _frame: FrameType | None) -> None:
        nonlocal is_terminated
        is_terminated = True
        raise KeyboardInterrupt  # what a build leaves behind when it is interrupted is whole

    def build_unless_terminated(settle_seconds: float) -> bool:
        goes_on = build(settle_seconds)
        if is_terminated:  # Python drops what is raised while it frees an object
            raise KeyboardInterrupt
        return goes_on

    before = signal.signal(signal.SIGTERM, terminate)
    folders = [existing_name(os.fsencode(absolute_path(name))) for name in photos]

    try:
        watch_folders(folders, os.fsencode(absolute_path(folder)), build_unless_terminated, say)
    except KeyboardInterrupt:
        if not is_terminated:
            raise
    finally:
        signal.signal(signal.SIGTERM, before)
