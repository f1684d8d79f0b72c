"""Group linked photos into stacks.

    shots (one row or several) --links--> graph -> stars: a centre, what is linked to it, and what is linked to that

A chain of links may lead from one scene to another, so a stack reaches no farther than two links from its centre, which
is the shot with the most links. Ties are broken by the digests of files: the same photos give the same stacks, in
whatever order they came into the index.

References:
    Aslam, Pelekhov and Rus 2004, "The star clustering algorithm for static and dynamic information organization",
    Journal of Graph Algorithms and Applications 8 (1).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence


def group(
    links: Iterable[Sequence[int]], shots: Iterable[Sequence[int]], digests: Mapping[int, bytes]
) -> list[list[int]]:
    """Group rows into stacks.

    Args:
        links: Pairs of rows that look alike.
        shots: Rows that are one shot, whatever they look like; one row may be in several.
        digests: The digest of the file of every row that may be in a stack; other rows are left out.

    Returns:
        The rows of each stack, two or more, sorted; no row is in two.
    """
    shot_of = _join(shots, digests)
    members: defaultdict[int, list[int]] = defaultdict(list)
    for row in digests:
        members[shot_of.get(row, row)].append(row)
    linked: defaultdict[int, set[int]] = defaultdict(set)
    for row, other in links:
        if row in digests and other in digests:
            one, another = shot_of.get(row, row), shot_of.get(other, other)
            if one != another:
                linked[one].add(another)
                linked[another].add(one)
    first_digest = {shot: min(digests[row] for row in members[shot]) for shot in linked}
    centres = sorted(linked, key=lambda shot: (-len(linked[shot]), first_digest[shot]))
    stacks: list[list[int]] = []
    free = set(members)
    for centre in centres:
        if centre in free:
            near = linked[centre] & free
            star = {centre, *near}.union(*(linked[shot] & free for shot in near))
            free -= star
            stacks.append([row for shot in star for row in members[shot]])
    stacks += [members[shot] for shot in free]
    return sorted(sorted(rows) for rows in stacks if len(rows) > 1)


def _join(shots: Iterable[Sequence[int]], known: Mapping[int, bytes]) -> dict[int, int]:
    """Join shots that share a row: every row of a shot -> the row that stands for it."""
    parent: dict[int, int] = {}

    def find(row: int) -> int:
        while parent.setdefault(row, row) != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for shot in shots:
        rows = [row for row in shot if row in known]
        for row in rows[1:]:
            parent[find(row)] = find(rows[0])
    return {row: find(row) for row in list(parent)}
