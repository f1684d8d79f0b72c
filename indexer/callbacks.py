"""Callbacks that report the progress of long work."""

from collections.abc import Callable
from dataclasses import dataclass

from indexer.photos.scan import Skipped

# Gets how much is done, and how much there is in all.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class BuildCallbacks:
    """Callbacks of a build; by default none does anything.

    Attributes:
        on_progress: Gets (done, total) files.
        on_skip: Gets every photo that is passed over.
        on_note: Gets a line about anything else that is worth saying, such as why a faster precision is not used.
    """

    on_progress: Progress = lambda _done, _total: None
    on_skip: Callable[[Skipped], None] = lambda _skipped: None
    on_note: Callable[[str], None] = lambda _note: None
