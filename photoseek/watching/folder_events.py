"""Wait until the system reports that something changed below folders."""

import os
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

from photoseek.watching.exclusions import Exclusions
from photoseek.watching.network_disks import network_type

# Milliseconds of one wait for events at most; between two, it is looked whether the folders are still there.
SLICE_MS = 500
WATCH_LIMIT = "fs.inotify.max_user_watches"
# Enough for any collection: one watch, of about 1 KB, per folder.
ENOUGH_WATCHES = 1_048_576


@dataclass(frozen=True, slots=True)
class Pace:
    """Waiting times of a watch, all in seconds.

    Attributes:
        quiet: Time without a change after which a burst of changes is over.
        longest_burst: Time after which a burst is built although it goes on.
        settle: Time for which size and time of a file must not change before it is read.
        unsettled: Time to the next build after one that left out files that were still being written.
        poll: Time to the next build where folders report no changes.
        failed: Time to the next build after one that failed.
        walk: Longest time between two builds, in case a change was not reported.
    """

    quiet: float = 2.0
    longest_burst: float = 60.0
    settle: float = 1.0
    unsettled: float = 5.0
    poll: float = 300.0
    failed: float = 60.0
    walk: float = 3600.0


class FolderEvents:
    """The changes below folders, as the system reports them. Close it at the end.

    What happens between two waits is not lost: the next wait returns at once.

    Args:
        folders: Absolute paths of the folders.
        index: Absolute path of the index. Neither its own changes count, nor those of what its builds leave out.
        pace: The waiting times.
        say: Gets a line about folders that report no changes.

    Attributes:
        polls: Whether some folder reports no changes, so that it must be looked at now and then.
    """

    def __init__(self, folders: Sequence[bytes], index: bytes, pace: Pace, say: Callable[[str], None]) -> None:
        self._index = os.path.realpath(index)
        self._exclusions: Exclusions | None = None
        self._pace, self._say = pace, say
        self.polls = False
        self._network = {folder: kind for folder in folders if (kind := network_type(folder)) is not None}
        self._folders = {folder: self._identity(folder) for folder in folders}
        self._real = list(map(os.path.realpath, folders))
        reporting = [os.path.realpath(folder) for folder in folders if self._may_report(folder)]
        self._changes = self._watch(reporting) if reporting else None

    def close(self) -> None:
        """End the reports."""
        if self._changes is not None:
            self._changes.close()

    def is_current(self) -> bool:
        """Return whether the folders are those that were there at first: none has gone, come, or become a mount."""
        return all(self._identity(folder) == before for folder, before in self._folders.items())

    def wait(self, seconds: float) -> None:
        """Wait until a burst of changes is over, or a folder has gone or come, or some time is over.

        Args:
            seconds: The time without any change.
        """
        end = time.monotonic() + seconds
        self._exclusions = None  # the build before may have changed them
        while time.monotonic() < end and self.is_current():
            if self._changed():
                self._wait_for_end_of_burst()
                return

    def _wait_for_end_of_burst(self) -> None:
        last = time.monotonic()
        end = last + self._pace.longest_burst
        while last + self._pace.quiet > time.monotonic() < end:
            if self._changed():
                last = time.monotonic()

    def _changed(self) -> bool:
        """Wait for a moment, and return whether something changed meanwhile or before."""
        if self._changes is None:
            time.sleep(SLICE_MS / 1000)
            return False
        try:
            return bool(next(self._changes))
        except (OSError, RuntimeError, StopIteration) as error:  # new folders are more than it can watch, for example
            self._changes = None
            self._poll_for(_refusal(error))
            return True

    def _may_report(self, folder: bytes) -> bool:
        """Return whether a folder can report its changes; if not, say why."""
        name = os.fsdecode(folder)
        if folder in self._network:
            kind = self._network[folder]
            self._poll_for(f"{name} is on a network disk ({kind}), which does not report what other machines change")
        elif self._folders[folder] is None:
            self._poll_for(f"{name} is not there")
        elif not _is_utf8(folder):
            self._poll_for(f"{name!r} is not UTF-8, so the system cannot report its changes")
        else:
            return True
        return False

    def _poll_for(self, reason: str) -> None:
        """Note that changes are not reported, and say why."""
        self.polls = True
        self._say(f"note: {reason}; changes are looked for every {self._pace.poll / 60:g} minutes instead")

    def _watch(self, folders: Sequence[bytes]) -> Generator[set[Any]] | None:
        """Begin the reports; None if the system refuses."""
        from watchfiles import watch

        changes = watch(
            *map(os.fsdecode, folders),
            watch_filter=lambda _change, path: self._counts(path),
            debounce=SLICE_MS,
            rust_timeout=SLICE_MS,
            yield_on_timeout=True,
            ignore_permission_denied=True,
        )
        try:
            next(changes)  # it begins only now
        except (OSError, RuntimeError) as error:
            self._poll_for(_refusal(error))
            return None
        return changes

    def _counts(self, path: str) -> bool:
        """Return whether a change of a path may change the index."""
        changed = os.fsencode(path)
        if changed == self._index or changed.startswith(self._index + b"/"):
            return False
        if self._exclusions is None:
            self._exclusions = Exclusions(self._real, self._index)
        return not self._exclusions.leave_out(changed)

    def _identity(self, folder: bytes) -> tuple[int, int] | None:
        """Return what tells a folder from all others, None if it is not there.

        On a network disk, the numbers of files may change by themselves.
        """
        try:
            info = os.stat(folder)
        except OSError:
            return None
        return (0, 0) if folder in self._network else (info.st_dev, info.st_ino)


def _is_utf8(path: bytes) -> bool:
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True


def _refusal(error: Exception) -> str:
    """Say why the system reports no changes, and what to do."""
    if "watch limit" in str(error):
        return (
            f"the system's limit of watched folders is reached; this raises it: sudo sysctl {WATCH_LIMIT}="
            f"{ENOUGH_WATCHES}"
        )
    return f"the system reports no changes ({error or type(error).__name__})"
