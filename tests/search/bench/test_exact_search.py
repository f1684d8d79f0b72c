"""search.bench.exact_search: the best rows block by block, recall, and neighbours."""

import numpy as np

from search.bench import exact_search as exact


def test_blocks_and_filters_give_what_one_sort_gives() -> None:
    generator = np.random.default_rng(0)
    # Small whole numbers, so that there are ties, and products are exact.
    x = generator.integers(-3, 4, (100, 4)).astype(np.float32)
    queries = generator.integers(-3, 4, (5, 4)).astype(np.float32)
    some, few = np.arange(1, 100, 3), np.array([7, 50, 99])
    blocks = [x[:30], x[30:31], x[31:]]
    found = exact.best_rows(blocks, queries, 9, [None, some, few, np.empty(0, np.int64)])
    for (rows, scores), allowed in zip(found, [np.arange(100), some, few, np.empty(0, np.int64)], strict=True):
        products = queries @ x[allowed].T
        order = np.lexsort((np.broadcast_to(allowed, products.shape), -products), axis=1)[:, :9]
        np.testing.assert_array_equal(scores, np.take_along_axis(products, order, axis=1))
        # Which of tied rows come last may differ; what is above the last score may not.
        for i, line in enumerate(order):
            clear = products[i, line] > (products[i, line[-1]] if len(line) else 0)
            np.testing.assert_array_equal(rows[i][clear], allowed[line][clear])
            assert set(rows[i]) <= set(allowed)
            assert len(set(rows[i])) == len(line)


def test_recall_is_the_mean_share_of_what_is_there() -> None:
    truth = np.array([[1, 2, 3, 4], [5, 6, 7, 8]])
    # 3 of 4 and 1 of 4.
    assert exact.recall([np.array([4, 3, 2, 9]), np.array([5])], truth) == (3 / 4 + 1 / 4) / 2


def test_a_row_is_no_neighbour_of_itself_though_its_copy_is() -> None:
    x = np.float32([[1, 0], [1, 0], [0, 1], [0.6, 0.8]])
    rows, cosines = exact.neighbours(x, 3)
    assert rows.tolist() == [[1, 3, 2], [0, 3, 2], [3, 0, 1], [2, 0, 1]]
    np.testing.assert_allclose(cosines, [[1, 0.6, 0], [1, 0.6, 0], [0.8, 0, 0], [0.8, 0.6, 0.6]], atol=1e-6)
