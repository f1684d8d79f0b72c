import random

from hypothesis import given
from hypothesis import strategies as st

from indexer.stacks.grouping import group


def digests(*rows: int) -> dict[int, bytes]:
    return {row: b"%04d" % row for row in rows}


def test_what_is_linked_is_a_stack() -> None:
    assert group([(1, 0), (2, 1), (5, 4)], [], digests(0, 1, 2, 4, 5)) == [[0, 1, 2], [4, 5]]


def test_a_chain_is_cut_two_links_from_its_centre() -> None:
    # 0-1-2-...-9, each end with one link less. The inner ones tie, so the least digest, row 1, is the first centre:
    # 1 reaches 0, 2 and 3; then 4 reaches 5 and 6; then 7 reaches 8 and 9.
    chain = [(row + 1, row) for row in range(9)]
    assert group(chain, [], digests(*range(10))) == [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9]]


def test_the_photo_with_most_links_is_a_centre() -> None:
    # 9 is linked to four; 1 only to 0, which is a neighbour's neighbour of 9 through 2.
    links = [(9, 2), (9, 3), (9, 4), (9, 5), (2, 0), (1, 0)]
    assert group(links, [], digests(0, 1, 2, 3, 4, 5, 9)) == [[0, 2, 3, 4, 5, 9]]


def test_rows_of_one_shot_are_together_whatever_they_look_like() -> None:
    assert group([], [(3, 7)], digests(3, 7)) == [[3, 7]]
    # 0-1 are linked, 1 is a shot with 2, 2 is linked with 3: one stack.
    assert group([(1, 0), (3, 2)], [(1, 2)], digests(0, 1, 2, 3)) == [[0, 1, 2, 3]]
    # Two shots that share a row, as a copy of the RAW elsewhere, are one.
    assert group([], [(1, 2), (2, 3)], digests(1, 2, 3)) == [[1, 2, 3]]


def test_rows_without_photos_are_left_out() -> None:
    assert group([(1, 0), (2, 1)], [(4, 5)], digests(0, 2, 4)) == []
    assert group([(1, 0), (2, 1), (2, 0)], [], digests(0, 2)) == [[0, 2]]


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=25), st.randoms())
def test_the_order_in_which_photos_came_does_not_matter(pairs: list[tuple[int, int]], order: random.Random) -> None:
    links = [(max(pair), min(pair)) for pair in pairs[3:] if pair[0] != pair[1]]
    shots = [pair for pair in pairs[:3] if pair[0] != pair[1]]
    names = {row: b"file %02d" % (row * 7 % 13) for row in range(13)}
    before = {frozenset(names[row] for row in rows) for rows in group(links, shots, names)}
    rows = list(range(13))
    order.shuffle(rows)
    moved = dict(zip(range(13), rows, strict=True))
    new_links = [(moved[a], moved[b]) for a, b in links]
    order.shuffle(new_links)
    new_shots = [(moved[a], moved[b]) for a, b in shots]
    new_names = {moved[row]: name for row, name in names.items()}
    after = {frozenset(new_names[row] for row in rows) for rows in group(new_links, new_shots, new_names)}
    assert before == after
    assert sum(map(len, after)) == len(set().union(*after)) if after else True
