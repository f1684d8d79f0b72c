"""The encoders that a ranker was trained with, loaded again."""

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
    """The ranker's image and text encoder, from where they lay in training unless names and options say otherwise
    (`image_options` and the image encoder's `precision` as of `load_image_encoder`).

    Raises PhotoseekError, which says what to do, where one cannot be loaded or is another than in training.
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
    if trained != found:
        raise PhotoseekError(f"ranker {ranker.id} was trained with {trained}, here is {found}; {remedy}")
