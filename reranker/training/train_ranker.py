"""Train a ranker on judged data, from photo files and texts to a ranker ready to save."""

from collections.abc import Callable, Sequence

from indexer.encoders import ImageEncoder, TextEncoder, load_image_encoder, load_text_encoder
from indexer.index import DEFAULT_ENCODER
from reranker.judgments.embedded import embed_judgments
from reranker.judgments.judgments import Judgments
from reranker.ranker import Ranker
from reranker.ranker_encoders import encoders_of
from reranker.training.train import TrainSettings, train
from reranker.training.vocabulary import ClassName

DEFAULT_TEXT_ENCODER = "minilm"


def train_ranker(
    judgments: Judgments,
    encoders: tuple[ImageEncoder, TextEncoder] | None = None,
    *,
    base: Ranker | None = None,
    class_names: Sequence[ClassName] | None = None,
    settings: TrainSettings | None = None,
    on_stage: Callable[[str, int, int], None] | None = None,
) -> Ranker:
    """Embed judged photos and captions, and train a ranker on them.

    Embeddings are kept in the user's cache, and so are the joint spaces of a training that is interrupted.

    Args:
        judgments: What people said; `judgments.restrict(names)` leaves photos out.
        encoders: The image and the text encoder; by default those of `base`, else the default ones.
        base: A ranker to fine-tune. Its joint space is kept, so it must not have seen these photos.
        class_names: A vocabulary of things, beside the image encoder's own classes.
        settings: All other settings of the training.
        on_stage: Called with (stage, done, total).

    Returns:
        The ranker, with its id; `Ranker.save` writes it to a folder.

    Raises:
        PhotoseekError: There is too little to learn from, a photo cannot be read, or `base` belongs to other encoders.
    """
    if encoders is None and base is not None:
        encoders = encoders_of(base)
    elif encoders is None:
        encoders = load_image_encoder(DEFAULT_ENCODER), load_text_encoder(DEFAULT_TEXT_ENCODER)
    embed = None if on_stage is None else (lambda done, total: on_stage("embedding", done, total))
    embedded = embed_judgments(judgments, *encoders, embed)
    return train(embedded, judgments, encoders, settings, base=base, class_names=class_names, on_stage=on_stage)
