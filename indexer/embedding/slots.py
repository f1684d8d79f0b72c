"""Which photo lies where: slots of shared memory, handed out so that they fill batches, each read in place."""

from collections import defaultdict, deque


class Slots:
    """The numbers 0 to `batches` * `batch` - 1; those of one batch lie side by side.

    A slot is free, then taken, then filled; one that stays empty is given back, to be filled by the next photo, so
    that files without a picture leave no holes. A batch starts with what is filled and is released as a whole.
    """

    def __init__(self, batches: int, batch: int) -> None:
        self.batch = batch
        self._free = deque(range(batches * batch))
        self._filled: defaultdict[int, list[int]] = defaultdict(list)

    def __len__(self) -> int:
        """How many there are to take."""
        return len(self._free)

    def take(self) -> int:
        """A free slot, of a batch that was begun if there is one."""
        return self._free.popleft()

    def give_back(self, slot: int) -> None:
        """It stayed empty."""
        self._free.appendleft(slot)

    def fill(self, slot: int) -> int | None:
        """It holds a photo; the number of its batch if that is full now."""
        number = slot // self.batch
        self._filled[number].append(slot)
        return number if len(self._filled[number]) == self.batch else None

    def waiting(self) -> list[int]:
        """The batches that hold photos and have not been started."""
        return list(self._filled)

    def start(self, number: int) -> list[int]:
        """The filled slots of a batch, which nothing writes to before its release. None of them may be taken still."""
        if len(self._filled[number]) < self.batch:
            self._free = deque(slot for slot in self._free if slot // self.batch != number)
        return sorted(self._filled.pop(number))

    def release(self, number: int) -> None:
        """The batch was read."""
        self._free.extend(range(number * self.batch, (number + 1) * self.batch))
