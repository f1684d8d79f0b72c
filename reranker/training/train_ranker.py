"""Train a ranker on judged data, from photo files and texts to a ranker ready to save."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from indexer.encoders import ImageEncoder, TextEncoder, load_image_encoder, load_text_encoder
from indexer.errors import PhotoseekError
from indexer.index import DEFAULT_ENCODER
from reranker.joint_ranker import are_sides_of_one, make_joint_ranker
from reranker.judgments.embedded import EmbeddedJudgments, embed_judgments, embed_photos, embed_with_tokens
from reranker.judgments.judgments import Judgments
from reranker.judgments.training_sets import TrainingSet, join_sets
from reranker.ranker import Ranker
from reranker.ranker_encoders import encoders_of
from reranker.training import OnStage
from reranker.training.joint_space.class_name_files import ClassName
from reranker.training.train import TrainSettings, train

DEFAULT_TEXT_ENCODER = "minilm"
# Captions without photos that hubness is measured against, beside those with photos.
BANK_CAPTIONS = 3000
# A training photo looks like a test photo if the cosine of their embeddings is this or more.
LOOKS_LIKE = 0.85


def train_ranker(
    judgments: Judgments | Sequence[TrainingSet],
    encoders: tuple[ImageEncoder, TextEncoder] | None = None,
    *,
    base: Ranker | None = None,
    class_names: Sequence[ClassName] | None = None,
    captions: Sequence[str] = (),
    settings: TrainSettings | None = None,
    on_stage: OnStage | None = None,
) -> Ranker:
    """Embed judged photos and captions, and train a ranker on them.

    Embeddings are kept in the user's cache, and so are the joint spaces of a training that is interrupted.

    Args:
        judgments: What people said, one set or several; `judgments.restrict(names)` leaves photos out.
        encoders: The image and the text encoder; by default those of `base`, else the default ones.
        base: A ranker to fine-tune. Its joint space is kept, so it must not have seen these photos. By default a joint
            encoder's own ranker, if both encoders are sides of one, else none.
        class_names: A vocabulary of things, beside the image encoder's own classes.
        captions: Captions without photos: hubness is measured against some of them, too, and their words are known.
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
    if base is None and are_sides_of_one(*encoders):
        base = make_joint_ranker(encoders[0].fingerprint, encoders[1])
    embed = None if on_stage is None else (lambda done, total: on_stage("embedding", done, total))
    sets = [TrainingSet("photos", judgments)] if isinstance(judgments, Judgments) else list(judgments)
    joined, photo_sets = join_sets(sets)
    embedded = replace(embed_judgments(joined, *encoders, embed), photo_sets=photo_sets)
    if captions:
        embedded = with_other_captions(embedded, captions, encoders[1], 0 if settings is None else settings.seed)
    return train(embedded, joined, encoders, settings, base=base, class_names=class_names, on_stage=on_stage)


def with_other_captions(
    embedded: EmbeddedJudgments, captions: Sequence[str], encoder: TextEncoder, seed: int
) -> EmbeddedJudgments:
    """Add captions without photos to judged data.

    Args:
        embedded: The judged data.
        captions: The captions.
        encoder: The text encoder that made its text vectors.
        seed: Draws those that hubness is measured against.

    Returns:
        The judged data with some of the captions as its bank and with the words of all.
    """
    drawn = np.random.default_rng(seed).permutation(len(captions))[:BANK_CAPTIONS]
    bank = [captions[place] for place in np.sort(drawn)]
    t, tokens = embed_with_tokens(bank, encoder)
    return replace(
        embedded,
        captions=(*embedded.captions, *("",) * len(bank)),
        texts=(*embedded.texts, *bank),
        t=np.concatenate([embedded.t, t]),
        owner=np.concatenate([embedded.owner, np.full(len(bank), -1)]),
        tokens=type(tokens).join([embedded.tokens, tokens]),
        bank=np.arange(len(embedded.texts), len(embedded.texts) + len(bank)),
        other_captions=tuple(captions),
    )


def without_lookalikes(judgments: Judgments, chosen: Sequence[str], encoder: ImageEncoder) -> tuple[str, ...]:
    """Return training photos without those that look like a test photo of the same judged data.

    Args:
        judgments: The judged data.
        chosen: Names of the training photos.
        encoder: The image encoder of the training.
    """
    test = {*judgments.test_photos, *judgments.splits.get("test", ())} & set(judgments.photos) - set(chosen)
    if not test or not chosen:
        return tuple(chosen)
    x, _ = embed_photos([judgments.photos[name] for name in chosen], encoder)
    of_test, _ = embed_photos([judgments.photos[name] for name in sorted(test)], encoder)
    alike = (x @ of_test.T).max(axis=1) >= LOOKS_LIKE
    return tuple(name for name, like in zip(chosen, alike, strict=True) if not like)


def training_photos(judgments: Judgments, photo_set: str | None) -> tuple[str, ...]:
    """Return the photos to train on.

    Args:
        judgments: The judged data.
        photo_set: A photo folder of it; by default `train_images`, or else all photos that are no test photos.

    Raises:
        PhotoseekError: The judged data has no such photo folder, or all its photos are held out for tests.
    """
    if photo_set is None and "train_images" in judgments.sets:
        photo_set = "train_images"
    if photo_set is None:
        held_out = {*judgments.test_photos, *judgments.splits.get("dev", ()), *judgments.splits.get("test", ())}
        chosen = tuple(name for name in judgments.photos if name not in held_out)
        if not chosen:
            raise PhotoseekError(
                f"judged data {judgments.folder} has no photo to train on: all are of its tests; --photos PART takes a "
                f"part of it all the same ({', '.join(judgments.sets)})"
            )
        return chosen
    if photo_set not in judgments.sets:
        raise PhotoseekError(
            f"judged data {judgments.folder} has no photo folder {photo_set!r}; it has {', '.join(judgments.sets)}"
        )
    return judgments.sets[photo_set]
