"""Hold everything that a training learns from."""

from dataclasses import dataclass

from indexer.encoders import ImageEncoder, TextEncoder
from reranker.judgments.embedded import EmbeddedJudgments
from reranker.judgments.judgments import Judgments
from reranker.training.examples.phrase_examples import Phrases
from reranker.training.joint_space.class_name_files import ClassName


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Everything that a training learns from.

    Attributes:
        embedded: The judged data as arrays.
        judgments: The judged data with what people said.
        encoders: The image and the text encoder that made `embedded`.
        class_names: A vocabulary beside the image encoder's own classes.
        phrases: Words and short phrases of the captions.
    """

    embedded: EmbeddedJudgments
    judgments: Judgments
    encoders: tuple[ImageEncoder, TextEncoder]
    class_names: tuple[ClassName, ...]
    phrases: Phrases
