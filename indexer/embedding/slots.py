"""Slots of shared memory: assign photos to places, so that they form batches that are read without copying."""

from collections import defaultdict, deque


class Slots:
    """Hand out the slots 0 to `batches * batch_size - 1`; those of one batch lie side by side.

    A slot is free, then taken, then filled, or returned unused if its file gave no picture, so that such files leave no
    holes in a batch. A batch is read when it is full, or earlier if no more photos come, and then freed as a whole.

    Args:
        batches: How many batches there are.
        batch_size: Slots of a batch.
    """

    def __init__(self, batches: int, batch_size: int) -> None:
        self.batch_size = batch_size
        self._free = deque(range(batches * batch_size))
        self._filled: defaultdict[int, list[int]] = defaultdict(list)

    def __len__(self) -> int:
        """Return how many slots are free."""
        return len(self._free)

    def take(self) -> int:
        """Take a free slot, of a batch that was begun if there is one."""
        return self._free.popleft()

    def return_unused(self, slot: int) -> None:
        """Return a taken slot to the free list; it is the next one to be taken."""
        self._free.appendleft(slot)

    def mark_filled(self, slot: int) -> int | None:
        """Note that a taken slot holds a photo, and return the number of its batch if that is full now."""
        batch = slot // self.batch_size
        self._filled[batch].append(slot)
        return batch if len(self._filled[batch]) == self.batch_size else None

    def unread_batches(self) -> list[int]:
        """Return the numbers of the batches that hold photos and are not being read."""
        return list(self._filled)

    def begin_reading(self, batch: int) -> list[int]:
        """Keep a batch from being written until it is freed; none of its slots may be taken and not yet filled.

        Returns:
            Its filled slots, sorted.
        """
        if len(self._filled[batch]) < self.batch_size:
            self._free = deque(slot for slot in self._free if slot // self.batch_size != batch)
        return sorted(self._filled.pop(batch))

    def free_batch(self, batch: int) -> None:
        """Free all slots of a batch that was read."""
        self._free.extend(range(batch * self.batch_size, (batch + 1) * self.batch_size))
