"""Follow photo folders: build, wait until something changes, build again."""

from collections.abc import Callable, Sequence

from indexer.errors import PhotoseekError
from photoseek.watching.folder_events import FolderEvents, Pace

DEFAULT_PACE = Pace()


def watch_folders(
    folders: Sequence[bytes],
    index: bytes,
    build: Callable[[float], bool],
    say: Callable[[str], None],
    pace: Pace = DEFAULT_PACE,
) -> None:
    """Build whenever something changes below folders, until KeyboardInterrupt.

    The first build may fail; a later one that fails is told, and tried again. Only a build holds the writer's lock. A
    folder that goes is not a deletion: the build refuses it, and goes on when it is back.

    Args:
        folders: Absolute paths of the photo folders.
        index: Absolute path of the index, whose own changes do not count.
        build: Builds; it gets how many seconds a new file must stay as it is before it is read, and returns whether it
            left out files that did not.
        say: Gets lines for the user.
        pace: The waiting times.

    Raises:
        PhotoseekError: The first build failed.
    """
    events = FolderEvents(folders, index, pace, say)
    try:
        wait = _waiting_time(build(pace.settle), events, pace)
        say("watching for changes; Ctrl-C ends it")
        problem = ""
        while True:
            events.wait(wait)
            if not events.is_current():
                events.close()
                events = FolderEvents(folders, index, pace, say)
            try:
                wait, problem = _waiting_time(build(pace.settle), events, pace), ""
            except PhotoseekError as error:
                if str(error) != problem:
                    say(f"photoseek: {error} (watching goes on)")
                wait, problem = pace.failed, str(error)
    finally:
        events.close()


def _waiting_time(is_unsettled: bool, events: FolderEvents, pace: Pace) -> float:
    """Return how long to wait for a change before the next build, in seconds."""
    if is_unsettled:
        return pace.unsettled
    return pace.poll if events.polls else pace.walk
