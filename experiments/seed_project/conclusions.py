"""The seed project's conclusions, written from its figures, whatever they are."""

from typing import Any

from experiments.seed_project.project import SeedProject

SHORT = {
    "chance": "no model",
    "ridge": "Ridge",
    "net": "plain net",
    "candidates": "candidates",
    "photoseek": "photoseek",
}
COMPARED = ("ridge", "net", "photoseek")
TOP = 10
# From here on, a photo that so large a share of the queries shows is what "similar images for most queries" means.
MOST, MILDER = 0.5, 0.9


def conclusions(project: SeedProject) -> list[str]:
    """What follows from the figures, whatever they are."""
    queries, photos = project.models["ridge"].order.shape
    even = min(1.0, TOP / photos)
    ridge, net, ours = (value_of(project, name, "largest_share") for name in COMPARED)
    says = []
    if ridge > 0.999 and project.figures["ridge"]["distinct@10"] == min(TOP, photos):
        says.append(
            f"Ridge shows the same {min(TOP, photos)} photos for every one of the {queries} queries. It has to: a "
            "linear model of a joined vector is a sum of the photo's part and the query's part, so the query moves all "
            "photos alike and never changes their order."
        )
    else:
        says.append(f"Ridge shows one photo in the top {TOP} of {ridge:.0%} of the queries.")
    if net >= MOST:
        says.append(
            f"The plain net has the same failure{', in a milder form' if net < MILDER else ''}: similar images are "
            f"shown for most queries. One photo is in the top {TOP} of {net:.1%} of them, and of {photos} photos "
            f"{project.figures['net']['distinct@1']} take every first place."
        )
    else:
        says.append(
            f"The plain net does not show similar images for most queries here: its most shown photo is in the top "
            f"{TOP} of {net:.0%} of them."
        )
    says.append(_regression_says(project))
    cured = ours < MOST and ours < net and ours < ridge
    recalls = [value_of(project, name, "recall@10") for name in COMPARED]
    says.append(
        f"photoseek on the same {len(project.seen_photos)} photos "
        + ("cures it" if cured else "does not cure it")
        + f": its most shown photo is in the top {TOP} of {ours:.0%} of the queries (even spread: {even:.0%}; a random "
        f"order: {value_of(project, 'chance', 'largest_share'):.0%}), two queries share "
        f"{project.figures['photoseek']['overlap@10']:.2f} of their top {TOP}, and recall@{TOP} is {recalls[2]:.3f} "
        f"beside {recalls[0]:.3f} (Ridge), {recalls[1]:.3f} (net) and "
        f"{value_of(project, 'chance', 'recall@10'):.3f} (random)."
    )
    says.append(
        "The comparison is of recipes, not of networks: the image vectors are the same. photoseek also learns from the "
        "photos' own captions and from the crowd's votes, and looks at regions and word pieces where the encoders give "
        "them; Ridge and the net have the experts' pairs alone, as the project had."
    )
    warning = stand_in(project)
    return [*says, warning] if warning else says


def _regression_says(project: SeedProject) -> str:
    """What the errors on pairs did not tell."""
    mean, ridge, net = (value_of(project, name, "rmse") for name in ("chance", "ridge", "net"))
    if mean == 0:
        return "All held-out pairs have one and the same score, so the errors on them tell nothing."
    gains = [1 - error / mean for error in (ridge, net)]
    best = SHORT["ridge" if gains[0] >= gains[1] else "net"]
    if max(gains) <= 0:
        return f"On held-out pairs neither is better than always saying the mean score (RMSE {mean:.3f})."
    return (
        f"The errors did not tell: on held-out pairs Ridge has an RMSE of {ridge:.3f} and the net of {net:.3f}, where "
        f"always saying the mean score has {mean:.3f}. The better one, {best}, is {max(gains):.0%} below, which looks "
        "like learning; that queries get the same photos shows only in a search."
    )


def value_of(project: SeedProject, name: str, figure: str) -> float:
    """A figure without its interval."""
    value: Any = project.figures[name][figure]
    return float(value["value"] if isinstance(value, dict) else value)


def stand_in(project: SeedProject) -> str:
    """What has to be said where the image vectors are not ResNet-18's; empty where they are."""
    if project.image == "ResNet-18":
        return ""
    if "RANDOM" in project.image:
        return f"IMAGE VECTORS ARE OF {project.image.upper()}. NOTHING ON THIS PAGE SAYS HOW GOOD ANY MODEL IS."
    return (
        f"The project had ResNet-18; the figures are of {project.image}. With ResNet-18's own weights: --weights FILE."
    )
