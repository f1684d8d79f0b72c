"""Write the report's sections on the models: training, testing and examples.

Each public function takes the project with its results and returns the blocks of one section.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from experiments.seed_project.data_sections import SCORE_LEVELS
from experiments.seed_project.project import COMPARED, SHORT_TITLES, TITLES, TOP, SeedProject, value_of
from experiments.seed_project.results import COLUMNS, RECALL_DEPTHS, first_photos
from reranker.metrics.recall import ranks_of_own
from reranker.reports import charts
from reranker.reports.album import Album
from reranker.reports.page import Block, Cell, Chart, Table, Text, Tiles

# Example queries, and the photos that are shown for each.
EXAMPLES, EXAMPLE_PHOTOS = 8, 4


def training(project: SeedProject) -> list[Block]:
    """Show what was trained, and the errors on held-out pairs."""
    title = f"On the {len(project.pairs.held_out):,} held-out pairs, {project.vectors.image_title}"
    return [
        _trained_models(project),
        _results_table(project, title, ("rmse", "mae", "tau_c")),
        Text(
            [
                "RMSE and MAE are errors of the generalised score, tau-c (Kendall) says whether pairs come in the "
                "experts' order. photoseek's relevance is not meant to be the experts' grade: it is calibrated to the "
                "share of a crowd that says “this fits”, and its candidates have no scale at all."
            ]
        ),
        _mean_predictions(project),
    ]


def testing(project: SeedProject, album: Album) -> list[Block]:
    """Show recall, how often queries get the same photos, and examples."""
    queries, photos = project.models["ridge"].search_scores.shape
    title = project.vectors.image_title
    return [
        Text(
            [
                f"{queries} queries, each asked against the {photos} test photos. Recall@k is the share of queries "
                f"whose own photo is among the first k. {title}."
            ]
        ),
        _results_table(project, f"The search, {title}", tuple(f"recall@{k}" for k in RECALL_DEPTHS)),
        _recall_bars(project),
        Text(
            [
                "Do different queries get different photos? The largest share is that of the queries which have one "
                f"and the same photo in their top {TOP} (even spread: {TOP / photos:.2f}); overlap is the mean Jaccard "
                f"index of two queries' top {TOP}; then how many different photos all queries together have first and "
                f"in their top {TOP}."
            ]
        ),
        _results_table(
            project,
            f"Queries that get the same photos, {title}",
            ("largest_share", "overlap@10", "distinct@1", "distinct@10"),
        ),
        _shown_photos_chart(project),
        *_examples(project, album),
    ]


def largest_shares(project: SeedProject) -> Tiles:
    """Show the largest share and recall@10 of the compared models."""
    return Tiles(
        [
            (
                f"{SHORT_TITLES[name]}: largest share",
                project.results[name]["largest_share"],
                f"recall@10 {value_of(project.results[name]['recall@10']):.3f}",
            )
            for name in COMPARED
        ]
    )


def _trained_models(project: SeedProject) -> Table:
    pairs, photos = len(project.pairs.train), len(project.pairs.train_photos)
    summary = project.ranker.training
    rows: list[list[Cell]] = [
        ["Ridge", "linear regression with an L2 penalty of 1", f"{pairs:,} pairs", project.models["ridge"].seconds],
        [
            "plain net",
            "PyTorch, hidden layers of 256 and 64, squared error",
            f"{pairs:,} pairs",
            project.models["net"].seconds,
        ],
        [
            "photoseek",
            "a map of both sides into one space with a hub correction, then MLPs above it",
            f"{photos:,} photos: {summary['captions']:,} captions of their own, {summary['expert_rows']:,} graded and "
            f"{summary['crowd_rows']:,} voted pairs",
            project.models["photoseek"].seconds,
        ],
    ]
    return Table("What was trained, on what, in how many seconds", ("model", "what", "learns from", "seconds"), rows, 1)


def _mean_predictions(project: SeedProject) -> Chart:
    """Draw the mean prediction of each model for the held-out pairs of each score."""
    scores = project.pairs.held_out_scores
    levels = [level for level in SCORE_LEVELS.values() if np.isclose(scores, level).any()]
    means = {
        SHORT_TITLES[name]: [
            float(project.models[name].pair_scores[np.isclose(scores, level)].mean()) for level in levels
        ]
        for name in COMPARED
    }
    return charts.bars(
        [f"{level:.2f}" for level in levels],
        means,
        "What each model says on average of held-out pairs with each score. A model without error would say the score "
        "itself.",
        f"Bars of the mean prediction at each score: {_listed(means)}",
        "generalised score",
        "mean prediction",
        shown="{:.2f}",
    )


def _recall_bars(project: SeedProject) -> Chart:
    recall = {
        SHORT_TITLES[name]: [project.results[name][f"recall@{k}"] for k in RECALL_DEPTHS]
        for name in ("chance", *COMPARED)
    }
    values = {name: [value_of(result) for result in results] for name, results in recall.items()}
    return charts.bars(
        [f"recall@{k}" for k in RECALL_DEPTHS],
        recall,
        "Recall with 95 % intervals over queries.",
        f"Bars of recall at 1, 5 and 10: {_listed(values)}",
        "",
        "share of queries",
        shown="{:.2f}",
    )


def _shown_photos_chart(project: SeedProject) -> Chart:
    curves = [_shown_photos(project, name) for name in (*COMPARED, "chance")]
    return charts.lines(
        curves,
        f"How many queries show each photo in their top {TOP}, from the photo shown most to that shown least. A flat "
        "line treats all photos alike; a cliff shows a few of them to everybody.",
        "Curves of how often each photo is shown, falling; the largest share is "
        + ", ".join(f"{curve.name} {curve.y[0]:.2f}" for curve in curves),
        "photos, most shown first",
        "share of queries",
    )


def _shown_photos(project: SeedProject, name: str) -> charts.Line:
    """Return the share of queries that each photo is shown for, falling."""
    scores = project.models[name].search_scores
    top = first_photos(scores)
    share = np.sort(np.bincount(top.reshape(-1), minlength=scores.shape[1]))[::-1] / len(top)
    return charts.Line(SHORT_TITLES[name], np.arange(1, len(share) + 1), share)


def _examples(project: SeedProject, album: Album) -> list[Block]:
    """Show queries with the first photos of each model."""
    names, queries = project.selection.judgments.test_photos, project.selection.judgments.queries
    photos = np.array([row for row, name in enumerate(names) if album.shows(name)], np.int64)
    chosen = _example_queries(project, album)
    blocks: list[Block] = [
        Text(
            [
                f"{len(chosen)} queries as examples, evenly spread over those that may be shown and chosen by nothing "
                f"else, asked against the {len(photos)} test photos that may be shown. A frame marks the photo that "
                "the query was written for."
            ]
        )
    ]
    columns = ("model", "own photo at", *map(str, range(1, min(EXAMPLE_PHOTOS, len(photos)) + 1)))
    for query in chosen:
        rows = [_example_row(project, album, name, query, photos) for name in COMPARED]
        blocks.append(Table(f"“{queries[query].text}”", columns, rows))
    return blocks


def _example_queries(project: SeedProject, album: Album) -> list[int]:
    """Choose queries evenly over those that may be shown, one per photo, never by their outcome."""
    queries = project.selection.judgments.queries
    first_of_photo = {query.photo: row for row, query in reversed(list(enumerate(queries)))}
    fit = sorted(row for row in first_of_photo.values() if album.shows(queries[row].photo, queries[row].text))
    if not fit:
        return []
    return [fit[i] for i in np.linspace(0, len(fit) - 1, min(EXAMPLES, len(fit))).round().astype(int)]


def _example_row(project: SeedProject, album: Album, name: str, query: int, photos: np.ndarray) -> list[Cell]:
    """Return a model, the rank of the query's own photo, and the first of the photos (rows of test photos, (n,))."""
    names, own = project.selection.judgments.test_photos, project.vectors.own_photos[query]
    scores = project.models[name].search_scores[query, photos]
    rank = int(ranks_of_own(scores[None], np.flatnonzero(photos == own))[0]) + 1
    shown = photos[np.argsort(-scores, kind="stable")[:EXAMPLE_PHOTOS]]
    thumbs = [album.thumb(names[photo], mark="own" if photo == own else "") for photo in shown]
    return [SHORT_TITLES[name], rank, *thumbs]


def _results_table(project: SeedProject, title: str, metrics: tuple[str, ...]) -> Table:
    rows: list[list[Cell]] = [
        [TITLES[name], *(results.get(metric) for metric in metrics)] for name, results in project.results.items()
    ]
    columns = ("model", *(COLUMNS[metric] for metric in metrics))
    return Table(f"{title}; 95 % intervals in brackets", columns, rows)


def _listed(values: Mapping[str, Sequence[float]]) -> str:
    return "; ".join(f"{name} {', '.join(f'{value:.2f}' for value in row)}" for name, row in values.items())
