"""The settings by which a candidate structure is built and tuned."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

# The parameters that are tried. Shares of the lists to visit:
NPROBE_SHARES = tuple(part / 64 for part in (0.25, 0.5, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 32, 64))
# and rows whose 8-bit codes are looked at.
REFINE_KS = (500, 750, 1000, 1250, 1500, 2000, 2500, 3000, 4000, 5000, 6000, 8000, 12000)


@dataclass(frozen=True, slots=True)
class AnnSettings:
    """Settings of a candidate structure. A kind of query is one that the ranker names, such as "words".

    Attributes:
        exact_bytes: While the vectors take no more bytes in float32, every row is scored: that takes some 3 ms.
        least_rows: Below so many rows, every row is scored.
        float32_rows: Above so many rows, vectors of which every one is scored are kept in half precision.
        recall: Share of a query's best 100 rows to find, as the mean over the queries of a kind that were held back.
        recalls: The same, for kinds that have another. A ranker keeps the captions of its training in a few directions
            only, where they are easier to answer than sentences as people write them, by half a point.
        least_recall: If a structure finds less for any kind, every row is scored after all.
        tolerance: Where no search reaches `recall`, the cheapest within so much of the best is taken: among ten million
            photos the last thousandth would take twice the time.
        kind_weights: Weight of a kind (1 if it is not named) where codes and lists are assigned. Words are the
            harder to answer: among a million photos, at nine to one they take 2.2 ms and sentences 1.7, at one to one
            3.3 and 1.3.
        held_back: Queries of a kind that tune the search, and at most half of them; the others shape the structure.
        code_count: 4-bit codes of a row at most.
        code_width: Coordinates that share a 4-bit code at most.
        rows_per_list: Rows of a list, about; never more lists than four times the square root of the rows.
        learned_per_list: Rows per list that the centres are learned from.
        iterations: Rounds of k-means.
        ridge: Share of the largest second moment of queries that is added to all of them, because later queries have
            directions that the sample lacks.
        directions_from: Rows, drawn at random, that give the principal directions.
        block_rows: Rows that are read at a time, which memory has to hold.
        byte_code_cost: Cost of an 8-bit code where a 4-bit code in a list costs 1; as measured.
        nprobe_shares: Shares of the lists to visit that are tried, ascending.
        refine_ks: Values of `refine_k` that are tried.
    """

    exact_bytes: int = 64 << 20
    least_rows: int = 1000
    float32_rows: int = 50_000
    recall: float = 0.99
    recalls: Mapping[str, float] = field(default_factory=lambda: {"captions": 0.995})
    least_recall: float = 0.95
    tolerance: float = 0.001
    kind_weights: Mapping[str, float] = field(default_factory=lambda: {"words": 9.0})
    held_back: int = 256
    code_count: int = 96
    code_width: int = 4
    rows_per_list: int = 256
    learned_per_list: int = 32
    iterations: int = 8
    ridge: float = 0.01
    directions_from: int = 16_384
    block_rows: int = 4_096
    byte_code_cost: int = 8
    nprobe_shares: tuple[float, ...] = NPROBE_SHARES
    refine_ks: tuple[int, ...] = REFINE_KS

    def needs_lists(self, rows: int, dim: int) -> bool:
        """Return whether a gallery is large enough for lists: `rows` vectors of `dim` numbers."""
        return rows >= self.least_rows and 4 * rows * dim > self.exact_bytes

    def nlist(self, rows: int) -> int:
        """Return the number of lists for `rows` rows, a power of two."""
        exponent = math.log2(min(rows / self.rows_per_list, 4 * rows**0.5))
        return 1 << round(exponent)

    def codes_of(self, dim: int) -> tuple[int, int]:
        """Return how many 4-bit codes a vector of `dim` numbers has, and how many coordinates share one."""
        width = min(self.code_width, -(-dim // self.code_count))
        return min(self.code_count, dim // width), width
