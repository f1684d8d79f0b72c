"""Write the conclusions of the seed project; every sentence depends on the results."""

from experiments.seed_project.encoder import RESNET_TITLE
from experiments.seed_project.project import COMPARED, SHORT_TITLES, TOP, SeedProject, value_of

# A model shows "similar images for most queries" if it shows one photo for this share of them or more ...
MOST_QUERIES = 0.5
# ... and "in a milder form" below this share.
NEARLY_ALL_QUERIES = 0.9


def conclusions(project: SeedProject) -> list[str]:
    """Write what follows from the results.

    Args:
        project: The project with its results.

    Returns:
        Sentences about Ridge, the net, their errors, photoseek and the comparison; last, where ResNet-18 was not the
        image encoder, a sentence that says so.
    """
    sentences = [
        _conclude_ridge(project),
        _conclude_net(project),
        _conclude_errors(project),
        _conclude_photoseek(project),
        "The comparison is of recipes, not of networks: the image vectors are the same. photoseek also learns from the "
        "photos' own captions and from the crowd's votes, and looks at regions and word pieces where the encoders give "
        "them; Ridge and the net have the experts' pairs alone, as the project had.",
    ]
    note = encoder_note(project.vectors.image_title)
    return [*sentences, note] if note else sentences


def encoder_note(image_title: str) -> str:
    """Say that the image vectors are not those of a trained ResNet-18.

    Args:
        image_title: The image encoder in words, as `choose_encoder` returns it.

    Returns:
        The note; empty where the encoder is a trained ResNet-18.
    """
    if image_title == RESNET_TITLE:
        return ""
    if "RANDOM" in image_title:
        return f"IMAGE VECTORS ARE OF {image_title.upper()}. NOTHING ON THIS PAGE SAYS HOW GOOD ANY MODEL IS."
    return f"The project had ResNet-18; the figures are of {image_title}. With ResNet-18's own weights: --weights FILE."


def _conclude_ridge(project: SeedProject) -> str:
    queries, photos = project.models["ridge"].search_scores.shape
    shown = min(TOP, photos)
    share = value_of(project.results["ridge"]["largest_share"])
    if share > 0.999 and project.results["ridge"]["distinct@10"] == shown:
        return (
            f"Ridge shows the same {shown} photos for every one of the {queries} queries. It has to: a linear model of "
            "a joined vector is a sum of the photo's part and the query's part, so the query moves all photos alike "
            "and never changes their order."
        )
    return f"Ridge shows one photo in the top {TOP} of {share:.0%} of the queries."


def _conclude_net(project: SeedProject) -> str:
    photos = project.models["net"].search_scores.shape[1]
    share = value_of(project.results["net"]["largest_share"])
    if share >= MOST_QUERIES:
        return (
            f"The plain net has the same failure{', in a milder form' if share < NEARLY_ALL_QUERIES else ''}: similar "
            f"images are shown for most queries. One photo is in the top {TOP} of {share:.1%} of them, and of {photos} "
            f"photos {project.results['net']['distinct@1']} take every first place."
        )
    return (
        f"The plain net does not show similar images for most queries here: its most shown photo is in the top {TOP} "
        f"of {share:.0%} of them."
    )


def _conclude_errors(project: SeedProject) -> str:
    """Compare the errors on held-out pairs, which do not show the failure."""
    mean, ridge, net = (value_of(project.results[name]["rmse"]) for name in ("chance", "ridge", "net"))
    if mean == 0:
        return "All held-out pairs have one and the same score, so the errors on them tell nothing."
    gains = [1 - error / mean for error in (ridge, net)]
    best = SHORT_TITLES["ridge" if gains[0] >= gains[1] else "net"]
    if max(gains) <= 0:
        return f"On held-out pairs neither is better than always saying the mean score (RMSE {mean:.3f})."
    return (
        f"The errors did not tell: on held-out pairs Ridge has an RMSE of {ridge:.3f} and the net of {net:.3f}, where "
        f"always saying the mean score has {mean:.3f}. The better one, {best}, is {max(gains):.0%} below, which looks "
        "like learning; that queries get the same photos shows only in a search."
    )


def _conclude_photoseek(project: SeedProject) -> str:
    even_share = min(1.0, TOP / project.models["photoseek"].search_scores.shape[1])
    shares = {name: value_of(project.results[name]["largest_share"]) for name in (*COMPARED, "chance")}
    recalls = {name: value_of(project.results[name]["recall@10"]) for name in (*COMPARED, "chance")}
    share = shares["photoseek"]
    cured = share < MOST_QUERIES and share < shares["net"] and share < shares["ridge"]
    return (
        f"photoseek on the same {len(project.pairs.train_photos)} photos {'cures it' if cured else 'does not cure it'}"
        f": its most shown photo is in the top {TOP} of {share:.0%} of the queries (even spread: {even_share:.0%}; a "
        f"random order: {shares['chance']:.0%}), two queries share "
        f"{value_of(project.results['photoseek']['overlap@10']):.2f} of their top {TOP}, and recall@{TOP} is "
        f"{recalls['photoseek']:.3f} beside {recalls['ridge']:.3f} (Ridge), {recalls['net']:.3f} (net) and "
        f"{recalls['chance']:.3f} (random)."
    )
