"""The report on the seed project: its ten steps with their numbers, and conclusions that follow from these."""

import numpy as np

from experiments.seed_project.conclusions import COMPARED, SHORT, TOP, conclusions, stand_in, value_of
from experiments.seed_project.project import COLUMNS, KS, TITLES, SeedProject
from reranker.metrics.metrics import ranks_of_own
from reranker.models.linear_map import unit
from reranker.reports import charts
from reranker.reports.album import Album
from reranker.reports.page import Block, Cell, Interval, Points, Section, Table, Text, Thumb, Tiles

LEVELS = (0, 1 / 3, 2 / 3, 1)
EXAMPLES, SHOWN = 8, 4
# Pairs of vectors whose cosines are drawn.
DRAWN = 20_000


def sections_of(project: SeedProject, album: Album) -> list[Section]:
    """The ten steps as chapters."""
    return [
        Section("Loading", _loading(project)),
        Section("Exploration", _exploration(project)),
        Section("Generalised score", _score(project)),
        Section("Checks", _checks(project)),
        Section("Image vectors", _images(project)),
        Section("Text vectors", _texts(project)),
        Section("Joining and splitting", _joining(project)),
        Section("Training", _training(project)),
        Section("Testing", _testing(project, album)),
        Section("Conclusions", [_tiles(project), Points(conclusions(project))]),
    ]


def _loading(project: SeedProject) -> list[Block]:
    judged, judgments = project.judged, project.judgments
    votes = sum(row.yes + row.no for row in judged.crowd)
    return [
        Tiles(
            [
                ("judged photos", len(judged.photos), "to learn from"),
                ("captions", len(judged.captions), "of these photos, or judged beside them"),
                ("pairs that experts graded", len(judged.expert), "three grades each, 1 to 4"),
                (
                    "pairs that a crowd voted on",
                    len(judged.crowd),
                    f"{votes:,} votes; photoseek alone learns from them",
                ),
                ("test photos", len(judgments.test_photos), "in which to search"),
                ("test queries", len(judgments.queries), "each written for one test photo"),
            ]
        ),
        Text(
            [
                "The project: one vector for a photo, one for a sentence, the two joined, and a regression that says "
                "how well they fit. A search asks it about every photo. This page runs that project in its ten "
                "steps, and then photoseek's own ranker on the same photos, so that the failure and its cure "
                "stand side by side."
            ]
        ),
    ]


def _exploration(project: SeedProject) -> list[Block]:
    grades = np.array([row.grades for row in project.judged.expert])
    counts = [int((grades == grade).sum()) for grade in (1, 2, 3, 4)]
    distinct = np.array([len(set(row)) for row in grades.tolist()])
    agreed = [int((distinct == number).sum()) for number in (1, 2, 3)]
    words = np.array([len(text.split()) for text in project.judged.captions.values()])
    return [
        charts.bars(
            ("1 nothing to do with it", "2 small things", "3 almost", "4 without a fault"),
            {"grades": counts},
            f"All {grades.size:,} grades that experts gave.",
            f"Bars of how often each grade was given: {', '.join(map(str, counts))} for grades 1 to 4.",
            "grade",
            "grades given",
            shown="{:,.0f}",
        ),
        Points(
            [
                f"{counts[0] / grades.size:.0%} of the grades are 1, {counts[3] / grades.size:.1%} are 4: most pairs "
                "do not fit, and a model that always says so is hardly ever far off.",
                f"All three experts agree on {agreed[0]:,} pairs, two of them on {agreed[1]:,}; on {agreed[2]:,} all "
                "three differ.",
                f"A caption has {np.median(words):.0f} words (median), from {words.min()} to {words.max()}.",
            ]
        ),
    ]


def _score(project: SeedProject) -> list[Block]:
    score, grades = project.pairs.score, [row.grades for row in project.kept.expert]
    counts = [int(np.isclose(score, level).sum()) for level in LEVELS]
    none = sum(len(set(row)) == 3 for row in grades)
    return [
        Text(
            [
                "The grade that two or three of the experts gave, scaled from 1..4 to 0..1. Where all three differ "
                f"there is no majority, and the pair is dropped: {none:,} of the {len(grades):,} pairs that the policy "
                f"leaves (see the checks), so that {len(score):,} remain."
            ]
        ),
        charts.bars(
            ("0", "1/3", "2/3", "1"),
            {"pairs": counts},
            f"Generalised scores of {len(score):,} pairs; their mean is {score.mean():.3f}.",
            f"Bars of how many pairs have each score: {', '.join(map(str, counts))} for 0, 1/3, 2/3 and 1.",
            "generalised score",
            "pairs",
            shown="{:,.0f}",
        ),
    ]


def _checks(project: SeedProject) -> list[Block]:
    judged, kept, policy = project.judged, project.kept, project.policy
    queries = sum(policy.blocks(query.text) for query in project.judgments.queries)
    left_out = [
        (what, len(before) - len(after), (len(before) - len(after)) / max(1, len(before)))
        for what, before, after in (
            ("photos", judged.photos, kept.photos),
            ("captions", judged.captions, kept.captions),
            ("pairs with grades", judged.expert, kept.expert),
            ("pairs with votes", judged.crowd, kept.crowd),
        )
    ]
    return [
        Text(
            [
                "In some countries photos of children must not be used or shown without their parents' consent. The "
                f"policy {policy.name} leaves out every photo that such a caption describes, for every model on this "
                f"page. The test photos stay, so that the figures can be compared, but none that it protects is shown "
                f"here; {queries} of the {len(project.judgments.queries)} queries name what it protects, and a search "
                f"answers them with “{policy.disclaimer}”."
            ]
        ),
        Table(f"What the policy {policy.name} leaves out of training", ("what", "left out", "share"), left_out),
        Table(
            "What photoseek check says of the folder's tables",
            ("check", "severity", "rows"),
            [(finding.check, finding.severity, finding.count) for finding in project.findings],
        ),
        Table(
            "Checked before anything was learned",
            ("check", "outcome", "numbers"),
            [(name, "passed" if passed else "FAILED", detail) for name, passed, detail in project.checks],
        ),
    ]


def _images(project: SeedProject) -> list[Block]:
    x = project.features.x
    return [
        Text([f"{project.image}: {x.shape[1]:,} numbers a photo, for {len(x):,} photos. {stand_in(project)}".strip()]),
        _cosines(x, "photos", project.image),
    ]


def _texts(project: SeedProject) -> list[Block]:
    t = project.sentences
    return [
        Text(
            [
                "BERT with mean pooling: the mean of the last hidden state over a sentence's word pieces, "
                f"{t.shape[1]} numbers. The network is MiniLM (all-MiniLM-L6-v2, a small BERT), of whose encoder Ridge "
                "and the net get the sentence part alone. It was itself trained on captions of this kind (COCO, "
                "Flickr30k), so it is not naive; photoseek has the same network, with its first hidden state and its "
                "word pieces."
            ]
        ),
        _cosines(t, "captions", "MiniLM"),
    ]


def _cosines(vectors: np.ndarray, what: str, encoder: str) -> Block:
    """How alike two of them are."""
    rows = unit(vectors)
    one, other = np.random.default_rng(0).integers(0, len(rows), (2, DRAWN))
    cosines = (rows[one] * rows[other]).sum(axis=1)[one != other]
    mean = float(cosines.mean())
    return charts.histogram(
        {what: cosines},
        np.linspace(min(0.0, float(cosines.min())), 1, 41),
        f"Cosine of two {what} drawn at random, {encoder}; the mean is {mean:.3f}.",
        f"Histogram of cosines between two {what}, mean {mean:.2f}.",
        "cosine",
        "pairs",
        marks={"mean": mean},
    )


def _joining(project: SeedProject) -> list[Block]:
    pairs, d, e = project.pairs, project.features.x.shape[1], project.sentences.shape[1]
    captions = set(pairs.text[project.seen].tolist())
    again = float(np.mean([row in captions for row in pairs.text[project.held].tolist()]))
    sides = [
        (side, len(set(pairs.photo[rows].tolist())), len(rows), float(pairs.score[rows].mean()))
        for side, rows in (("train", project.seen), ("held out", project.held))
    ]
    return [
        Text(
            [
                f"The photo's {d:,} numbers beside the sentence's {e}: {len(pairs.names):,} rows of {d + e:,}. Split "
                "7:3 by photo, so that no photo is on both sides.",
                f"Captions may be: {again:.0%} of the held-out pairs have a caption that some training photo was "
                "judged beside as well. That is the project's own split; photoseek's protocol expert_strict keeps both "
                "apart.",
            ]
        ),
        Table("The two sides", ("side", "photos", "pairs", "mean score"), sides),
    ]


def _training(project: SeedProject) -> list[Block]:
    pairs, seen = len(project.seen), len(project.seen_photos)
    training = project.ranker.training
    learned: list[list[Cell]] = [
        ["Ridge", "linear regression with an L2 penalty of 1", f"{pairs:,} pairs", project.seconds["ridge"]],
        [
            "plain net",
            "PyTorch, hidden layers of 256 and 64, squared error",
            f"{pairs:,} pairs",
            project.seconds["net"],
        ],
        [
            "photoseek",
            "a map of both sides into one space with a hub term, then MLPs above it",
            f"{seen:,} photos: {training['captions']:,} captions of their own, {training['expert_rows']:,} graded and "
            f"{training['crowd_rows']:,} voted pairs",
            project.seconds["photoseek"],
        ],
    ]
    score = project.pairs.score[project.held]
    levels = [level for level in LEVELS if np.isclose(score, level).any()]
    said = {
        SHORT[name]: [float(project.models[name].pairs[np.isclose(score, level)].mean()) for level in levels]
        for name in COMPARED
    }
    shown = [f"{level:.2f}" for level in levels]
    return [
        Table(
            "What was trained, on what, in how many seconds", ("model", "what", "learns from", "seconds"), learned, 1
        ),
        _figures(project, f"On the {len(project.held):,} held-out pairs, {project.image}", ("rmse", "mae", "tau_c")),
        Text(
            [
                "RMSE and MAE are errors of the generalised score, tau-c (Kendall) says whether pairs come in the "
                "experts' order. photoseek's relevance is not meant to be the experts' grade: it is calibrated to the "
                "share of a crowd that says “this fits”, and its candidates have no scale at all."
            ]
        ),
        charts.bars(
            shown,
            said,
            "What each model says on average of held-out pairs with each score. A model without error would say the "
            "score itself.",
            "Bars of the mean prediction at each score: "
            + "; ".join(f"{name} {', '.join(f'{value:.2f}' for value in values)}" for name, values in said.items()),
            "generalised score",
            "mean prediction",
            shown="{:.2f}",
        ),
    ]


def _testing(project: SeedProject, album: Album) -> list[Block]:
    queries, photos = project.models["ridge"].order.shape
    recall = {
        SHORT[name]: [Interval(**project.figures[name][f"recall@{k}"]) for k in KS] for name in ("chance", *COMPARED)
    }
    curves = [_hub_curve(project, name) for name in (*COMPARED, "chance")]
    return [
        Text(
            [
                f"{queries} queries, each asked against the {photos} test photos. Recall@k is the share of queries "
                f"whose own photo is among the first k. {project.image}."
            ]
        ),
        _figures(project, f"The search, {project.image}", tuple(f"recall@{k}" for k in KS)),
        charts.bars(
            [f"recall@{k}" for k in KS],
            recall,
            "Recall with 95 % intervals over queries.",
            "Bars of recall at 1, 5 and 10: "
            + "; ".join(f"{name} {', '.join(f'{v.value:.2f}' for v in values)}" for name, values in recall.items()),
            "",
            "share of queries",
            shown="{:.2f}",
        ),
        Text(
            [
                "Do different queries get different photos? The largest share is that of the queries which have one "
                f"and the same photo in their top {TOP} (even spread: {TOP / photos:.2f}); overlap is the mean Jaccard "
                f"index of two queries' top {TOP}; then how many different photos all queries together have first and "
                f"in their top {TOP}."
            ]
        ),
        _figures(
            project,
            f"Queries that get the same photos, {project.image}",
            ("largest_share", "overlap@10", "distinct@1", "distinct@10"),
        ),
        charts.lines(
            curves,
            f"How many queries show each photo in their top {TOP}, from the photo shown most to that shown least. A "
            "flat line treats all photos alike; a cliff shows a few of them to everybody.",
            "Curves of how often each photo is shown, falling; the largest share is "
            + ", ".join(f"{curve.name} {curve.y[0]:.2f}" for curve in curves),
            "photos, most shown first",
            "share of queries",
        ),
        *_examples(project, album),
    ]


def _examples(project: SeedProject, album: Album) -> list[Block]:
    """Queries with what each model shows first; evenly spread over the queries, none chosen by its outcome."""
    names, queries = project.judgments.test_photos, project.judgments.queries
    may = np.array([row for row, name in enumerate(names) if album.shows(name)], np.int64)
    firsts = {query.photo: row for row, query in reversed(list(enumerate(queries)))}
    fit = sorted(row for row in firsts.values() if album.shows(queries[row].photo, queries[row].text))
    chosen = [fit[i] for i in np.linspace(0, len(fit) - 1, min(EXAMPLES, len(fit))).round().astype(int)] if fit else []
    blocks: list[Block] = [
        Text(
            [
                f"{len(chosen)} queries as examples, evenly spread over those that may be shown and chosen by nothing "
                f"else, asked against the {len(may)} test photos that may be shown. A frame marks the photo that the "
                "query was written for."
            ]
        )
    ]
    shown = min(SHOWN, len(may))
    for row in chosen:
        lines: list[list[Cell]] = []
        for name in COMPARED:
            order = project.models[name].order[row, may]
            rank = int(ranks_of_own(order[None], np.flatnonzero(may == project.own[row]))[0]) + 1
            photos = may[np.argsort(-order, kind="stable")[:shown]]
            thumbs: list[Thumb] = [
                album.thumb(names[photo], mark="own" if photo == project.own[row] else "") for photo in photos
            ]
            lines.append([SHORT[name], rank, *thumbs])
        columns = ("model", "own photo at", *map(str, range(1, shown + 1)))
        blocks.append(Table(f"“{queries[row].text}”", columns, lines))
    return blocks


def _tiles(project: SeedProject) -> Tiles:
    return Tiles(
        [
            (
                f"{SHORT[name]}: largest share",
                Interval(**project.figures[name]["largest_share"]),
                f"recall@10 {value_of(project, name, 'recall@10'):.3f}",
            )
            for name in COMPARED
        ]
    )


def _figures(project: SeedProject, caption: str, names: tuple[str, ...]) -> Table:
    rows: list[list[Cell]] = []
    for name, figures in project.figures.items():
        cells = [figures.get(key) for key in names]
        rows.append([TITLES[name], *(Interval(**c) if isinstance(c, dict) else c for c in cells)])
    return Table(f"{caption}; 95 % intervals in brackets", ("model", *(COLUMNS[name] for name in names)), rows)


def _hub_curve(project: SeedProject, name: str) -> charts.Line:
    order = project.models[name].order
    top = np.argsort(-order, axis=1, kind="stable")[:, :TOP]
    share = np.sort(np.bincount(top.reshape(-1), minlength=order.shape[1]))[::-1] / len(top)
    return charts.Line(SHORT[name], np.arange(1, len(share) + 1), share)
