"""Count a photo once that several paths of a walk lead to: by its own name, or else by the first link."""

import os

from indexer.photos.file_head import holds_photo
from indexer.photos.rules.endings import SUFFIXES
from indexer.photos.rules.left_out import LeftOut
from indexer.photos.rules.patterns import FolderRules


class Links:
    """The links of one walk: what they lead to, and what of that the walk has or will have without them.

    Args:
        top: Absolute path of the folder that is walked.
        rules: The patterns that hold in it.
    """

    def __init__(self, top: bytes, rules: FolderRules) -> None:
        self._top = top
        self._left_out = LeftOut(top, rules)
        # Where the folders really are that the walk reaches, itself and by links, and their paths below the top.
        self._reached = {os.path.realpath(top): b""}
        self._files: set[bytes] = set()

    def has_file(self, real: bytes, *, is_link: bool) -> bool:
        """Return whether the walk has a photo without this path; if not, remember that it has it now.

        Args:
            real: Where the file really is.
            is_link: Whether the path itself is a link, rather than one in a folder behind a link.
        """
        if real in self._files or (is_link and self._takes(real, is_folder=False)):
            return True
        self._files.add(real)
        return False

    def has_folder(self, real: bytes, path: bytes, *, is_link: bool) -> bool:
        """Return whether the walk has a folder without this path; if not, remember that a link leads to it.

        Args:
            real: Where the folder really is.
            path: The path below the top.
            is_link: Whether the path itself is a link, rather than one in a folder behind a link.
        """
        if not is_link:
            return real in self._reached
        if self._takes(real, is_folder=True):
            return True
        self._reached[real] = path
        return False

    def _takes(self, real: bytes, *, is_folder: bool) -> bool:
        """Return whether the walk takes a file or folder by another path, which nothing leaves out."""
        if is_folder and real in self._reached:
            return True
        above = os.path.dirname(real)
        while above not in self._reached and above != os.path.dirname(above):
            above = os.path.dirname(above)
        if above not in self._reached:
            return False
        path = os.path.join(self._reached[above], os.path.relpath(real, above))
        if self._left_out.leaves_out(path):
            return False
        return is_folder or self._is_named_photo(path)

    def _is_named_photo(self, path: bytes) -> bool:
        """Return whether a file is a photo by its own name, or by what it holds if that has no ending."""
        ending = os.path.splitext(path)[1].lower()
        if ending:
            return ending in SUFFIXES
        try:
            return holds_photo(os.path.join(self._top, path))
        except OSError:
            return False
