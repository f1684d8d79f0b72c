"""indexer.embedding.slots: every slot is handed out once at a time, and batches fill from the front."""

from hypothesis import given
from hypothesis import strategies as st

from indexer.embedding.slots import Slots


def test_a_batch_is_full_when_its_last_slot_is_filled_in_whatever_order() -> None:
    slots = Slots(2, 3)
    taken = [slots.take() for _ in range(3)]
    assert (taken, len(slots)) == ([0, 1, 2], 3)
    assert [slots.mark_filled(slot) for slot in (2, 0, 1)] == [None, None, 0]
    assert slots.begin_reading(0) == [0, 1, 2]
    assert len(slots) == 3  # not before it is released
    slots.free_batch(0)
    assert [slots.take() for _ in range(6)] == [3, 4, 5, 0, 1, 2]


def test_a_slot_that_stayed_empty_is_the_next_to_be_taken() -> None:
    slots = Slots(2, 2)
    first, second = slots.take(), slots.take()
    slots.mark_filled(second)
    slots.return_unused(first)
    assert slots.take() == first
    assert slots.mark_filled(first) == 0


def test_a_batch_that_is_started_early_takes_its_empty_slots_with_it() -> None:
    slots = Slots(2, 3)
    slots.mark_filled(slots.take())
    assert slots.unread_batches() == [0]
    assert slots.begin_reading(0) == [0]
    assert (slots.unread_batches(), len(slots)) == ([], 3)
    slots.free_batch(0)
    assert sorted(slots.take() for _ in range(6)) == list(range(6))


@given(st.lists(st.sampled_from(["take", "fill", "back", "start"]), max_size=80))
def test_no_slot_has_two_photos(steps: list[str]) -> None:
    slots = Slots(3, 2)
    taken: list[int] = []
    for step in steps:
        if step == "take" and len(slots):
            slot = slots.take()
            assert slot not in taken
            taken.append(slot)
        elif step == "back" and taken:
            slots.return_unused(taken.pop())
        elif step == "fill" and taken:
            full = slots.mark_filled(taken.pop(0))
            if full is not None:
                assert slots.begin_reading(full) == [2 * full, 2 * full + 1]
                slots.free_batch(full)
        elif step == "start" and not taken:
            for number in slots.unread_batches():
                slots.begin_reading(number)
                slots.free_batch(number)
    for slot in taken:
        slots.return_unused(slot)
    for number in slots.unread_batches():
        slots.begin_reading(number)
        slots.free_batch(number)
    assert sorted(slots.take() for _ in range(len(slots))) == list(range(6))
