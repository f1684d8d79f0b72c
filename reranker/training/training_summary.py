"""Sum up a training for `ranker.json` and for people."""

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class TrainingSummary:
    """Summary of a training: its data and its results. Fields are the keys of `as_dict`, in their order.

    Attributes:
        photos: How many photos there were.
        captions: How many captions were written for one of them.
        expert_rows: How many pairs experts graded.
        crowd_rows: How many pairs a crowd judged.
        score: Name of the aggregation that made one number of what several people said.
        seed: The training's seed.
        base: Id of the ranker that was fine-tuned, if one was.
        before: What that ranker says about its own training, without what it says about rankers before it.
        names: How many names the head of class names has; None where no vocabulary was fitted.
        names_without_example: First names of the classes that nothing shows; None where no vocabulary was fitted.
        shrinkage: The map's shrinkages of images and texts; None where no map was fitted.
        sets: The sets that it was trained on, in words; None where there was one.
        gate: Whether the learned name gate is kept, in words.
        order_loss: Validation losses of the ranking MLP before training and after each epoch; None where it was kept.
        order: Whether the learned ranking is kept, in words.
        relevance: Whether the relevance MLP was learned anew or goes on from the base, in words.
        relevance_loss: Validation losses of the relevance MLP.
        calibration: The calibration's method.
        calibration_pairs: How many validation pairs it was fitted to.
        calibration_log_loss: Cross-validated log loss of each method that was compared.
    """

    photos: int
    captions: int
    expert_rows: int
    crowd_rows: int
    score: str
    seed: int
    base: str | None
    before: dict[str, Any] | None
    names: int | None
    names_without_example: tuple[str, ...] | None
    shrinkage: tuple[float, float] | None
    sets: tuple[str, ...] | None
    gate: str
    order_loss: tuple[float, ...] | None
    order: str
    relevance: str
    relevance_loss: tuple[float, ...]
    calibration: str
    calibration_pairs: int
    calibration_log_loss: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Return the summary for JSON: lists for tuples, losses rounded, without what is None."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        for name in ("order_loss", "relevance_loss"):
            values[name] = None if values[name] is None else [round(loss, 4) for loss in values[name]]
        values["calibration_log_loss"] = {name: round(loss, 5) for name, loss in self.calibration_log_loss.items()}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if value is not None
        }
