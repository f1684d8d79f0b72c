"""Load the encoders that a ranker was trained with."""

from collections.abc import Mapping

from indexer.encoders import ImageEncoder, TextEncoder, load_image_encoder, load_text_encoder
from indexer.errors import PhotoseekError
from reranker.ranker import Ranker


def encoders_of(
    ranker: Ranker,
    device: str = "auto",
    image_name: str | None = None,
    image_options: Mapping[str, str] | None = None,
    text_name: str | None = None,
    precision: str = "auto",
) -> tuple[ImageEncoder, TextEncoder]:
    """Load the image and the text encoder of a ranker.

    Args:
        ranker: The ranker.
        device: Where the image encoder computes.
        image_name: Name of the image encoder, where it is no longer where it was in training.
        image_options: Options of the image encoder, as of `load_image_encoder`, in addition to those of training.
        text_name: Name of the text encoder, where it is no longer where it was in training.
        precision: What the image encoder computes in.

    Returns:
        The image encoder and the text encoder.

    Raises:
        PhotoseekError: One cannot be loaded, or is not the one of training; the message says what to do.
    """
    name = image_name or ranker.image_encoder_name
    kept = ranker.image_encoder_options if name == ranker.image_encoder_name else {}
    options = {**kept, **(image_options or {})}
    remedy = "name its place with --image-encoder (and --weights or --preprocess)"
    try:
        image = load_image_encoder(name, device=device, precision=precision, **options)
    except PhotoseekError as error:
        raise PhotoseekError(
            f"ranker {ranker.id} needs image encoder {ranker.image_encoder}: {error}; {remedy}"
        ) from None
    _check(ranker, ranker.image_encoder, image.fingerprint, f"{remedy}, or train a ranker for this one")
    text = load_text_encoder(text_name or ranker.text_encoder_name)
    _check(ranker, ranker.text_encoder, text.fingerprint, "install the same weights, or train a ranker for these")
    return image, text


def _check(ranker: Ranker, trained: str, found: str, remedy: str) -> None:
    """Raise PhotoseekError unless two fingerprints are the same."""
    if trained != found:
        raise PhotoseekError(f"ranker {ranker.id} was trained with {trained}, here is {found}; {remedy}")
