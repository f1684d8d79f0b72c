"""search.bench.synthetic.photos: mixtures lie where photos lie, and the same recipe gives the same ones."""

import numpy as np

from indexer.index import Index
from search.bench.synthetic.photos import Recipe, mixtures, nearest_photos, photo_blocks, source_rows, tune
from search.bench.synthetic.statistics import deviation, statistics
from tiny_cloud import vectors

REAL, MADE = 300, 2_000


def test_photos_of_one_source_follow_each_other(made: Index) -> None:
    x = np.asarray(made.embeddings(), np.float32)
    beside = (x[1:] * x[:-1]).sum(axis=1).mean()
    apart = (x[MADE // 2 :] * x[: MADE // 2]).sum(axis=1).mean()
    assert beside > apart + 0.01


def test_without_spread_a_photo_is_the_mean_of_its_neighbours() -> None:
    sources = vectors(200, 16)
    near = nearest_photos(sources)
    made = mixtures(sources, near, np.array([3, 3, 7]), Recipe(3, 4, 0.0, 0, ""), np.random.default_rng(0))
    for row, source in enumerate((3, 3, 7)):
        mean = sources[[source, *near[source, :3]]].mean(axis=0)
        np.testing.assert_allclose(made[row], mean / np.linalg.norm(mean), atol=1e-6)


def test_blocks_do_not_depend_on_where_they_begin(real: Index) -> None:
    sources = source_rows(real)
    np.testing.assert_allclose(np.linalg.norm(sources, axis=1), 1, atol=1e-5)
    recipe = Recipe(20_000, 10, 1.0, 0, "")
    blocks = dict(photo_blocks(sources, recipe))
    assert {start: len(block) for start, block in blocks.items()} == {0: 16_384, 16_384: 3_616}
    ((start, again),) = photo_blocks(sources, recipe, 16_384)
    assert start == 16_384
    assert np.array_equal(again, blocks[start])


def test_the_choice_has_the_statistics_of_the_real_photos(real: Index) -> None:
    sources = source_rows(real)
    near = nearest_photos(sources)
    done: list[int] = []
    choice = tune(sources, near, 0, done.append)
    assert done[-1] == 10
    some = np.sort(np.random.default_rng(5).choice(len(sources), len(sources)))
    made = mixtures(sources, near, some, Recipe(len(some), *choice, 0, ""), np.random.default_rng(5))
    assert deviation(statistics(sources), statistics(made)) < 0.15
