"""Make one hit of photos that belong together: ranked rows -> the best row of each stack, with the others."""

import numpy as np


class Stacks:
    """Stacks of an open index: which rows belong together, as its last build found.

    Args:
        members: (m,) int64, the rows of all stacks, one stack after the other.
        lengths: (s,) int64, how many of them each stack has.
        total_rows: How many rows the searched view has; later ones are passed over.
    """

    def __init__(self, members: np.ndarray, lengths: np.ndarray, total_rows: int) -> None:
        self._members, self._ends = members, np.cumsum(lengths)
        self._stack_of = np.full(total_rows if len(lengths) else 0, -1, np.int64)
        known = members < total_rows
        self._stack_of[members[known]] = np.repeat(np.arange(len(lengths)), lengths)[known]

    def first_places(self, rows: np.ndarray) -> np.ndarray:
        """Find the first row of each stack among ranked rows; a row without a stack is the first of its own.

        Args:
            rows: (c,) int64 rows, best first.

        Returns:
            (s,) int64 places among them, rising.
        """
        if not len(self._stack_of):
            return np.arange(len(rows))
        own = self._stack_of[rows]
        names = np.where(own < 0, len(self._ends) + rows, own)
        return np.sort(np.unique(names, return_index=True)[1])

    def others(self, row: int, allowed: np.ndarray | None) -> list[int]:
        """Return the other rows of a row's stack.

        Args:
            row: The row.
            allowed: Sorted rows that may be named, None for all.

        Returns:
            The rows, sorted; none if the row is in no stack.
        """
        number = int(self._stack_of[row]) if len(self._stack_of) else -1
        if number < 0:
            return []
        rows = self._members[self._ends[number - 1] if number else 0 : self._ends[number]]
        if allowed is not None:
            places = np.searchsorted(allowed, rows).clip(max=len(allowed) - 1)
            rows = rows[allowed[places] == rows]
        return [int(other) for other in rows if other != row and other < len(self._stack_of)]
