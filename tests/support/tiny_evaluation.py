"""An evaluation of the sample by the tiny encoders, quick enough for every protocol."""

from pathlib import Path

from reranker.evaluation.evaluation import Evaluation
from reranker.judgments.embedded import embed_judgments
from reranker.judgments.judged_folder import Judgments
from reranker.training.train import train
from tiny_encoder import TinyEncoder
from tiny_judged import QUICK, Ears

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"


class Colours(TinyEncoder):
    """The tiny encoder without a classifier, as an evaluation wants it."""

    class_dim, prototypes = 0, None


def evaluation_of(judgments: Judgments, folder: Path) -> Evaluation:
    """A ranker of the sample by the tiny encoders, with an evaluation that has them at hand."""
    encoders = (Colours(), Ears())
    features = embed_judgments(judgments.restrict(judgments.sets["train_images"]), *encoders)
    ranker = train(features, judgments, encoders, QUICK)
    return Evaluation(judgments, ranker, breadth=folder, _cache={"encoders": encoders})
