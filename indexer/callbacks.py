"""Callbacks that report the progress of long work."""

from collections.abc import Callable
from dataclasses import dataclass

from indexer.photos.found_files import PhotoFile, Skipped

# Gets how much is done, and how much there is in all.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class BuildCallbacks:
    """Callbacks of a build; by default none does anything.

    Attributes:
        on_progress: Gets (done, total) of the new and changed files: how many are decoded and embedded, or skipped, and
            how many there are.
        on_skip: Gets every photo that is passed over, but none that an earlier build skipped and that is as it was.
        on_note: Gets a line about anything else that is worth saying, such as why a faster precision is not used.
        on_walk: Gets how many photos the walk found so far, again and again.
        on_slowest: Gets (path, seconds) of every file that took longer to decode than all before it.
        on_unsettled: Gets every file that is still being written, so that it is left to the next build.
    """

    on_progress: Progress = lambda _done, _total: None
    on_skip: Callable[[Skipped], None] = lambda _skipped: None
    on_note: Callable[[str], None] = lambda _note: None
    on_walk: Callable[[int], None] = lambda _found: None
    on_slowest: Callable[[bytes, float], None] = lambda _path, _seconds: None
    on_unsettled: Callable[[PhotoFile], None] = lambda _file: None
