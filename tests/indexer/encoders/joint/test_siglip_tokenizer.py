"""SigLIP's tokenizer without SentencePiece, against transformers' own with it."""

from pathlib import Path

import pytest
import transformers

from checkpoints.tiny_huggingface import LONGER, lowest_cosine
from checkpoints.tiny_joint import make_siglip_of_sentence_pieces
from indexer.encoders import load_text_encoder
from indexer.encoders.joint.siglip_tokenizer import siglip_tokenizer
from indexer.errors import PhotoseekError
from reranker.joint_ranker import everyday_captions

pytestmark = pytest.mark.usefixtures("seeded_cache")

ODD = ["", "!", "! two", "Two  DOGS, in the SNOW!", "a\tb\nc", "日本語 text", "ﬁne ½ Ångström", "it's 100% café-like"]


def test_it_cuts_texts_into_the_same_pieces(tmp_path: Path) -> None:
    own = make_siglip_of_sentence_pieces(tmp_path / "siglip").tokenizer
    ours = siglip_tokenizer("siglip", own)
    for text in [*everyday_captions(), *ODD]:
        assert ours.backend_tokenizer.encode(text).ids == own(text, truncation=False)["input_ids"], text
    assert (ours.pad_token_id, ours.padding_side, ours.model_max_length) == (own.pad_token_id, "right", 16)


def test_a_siglip_with_it_gives_the_librarys_own_vectors(tmp_path: Path) -> None:
    own = make_siglip_of_sentence_pieces(tmp_path / "siglip")
    texts = [LONGER, "A man, in a blue SHIRT!", "people are standing in a line on the street " * 3]
    ours = load_text_encoder(f"clip:{own.folder}", precision="f32").encode(texts)
    assert lowest_cosine(ours, own.text_rows(texts)) > 0.9999


def test_another_tokenizer_of_that_name_is_refused(tmp_path: Path) -> None:
    own = make_siglip_of_sentence_pieces(tmp_path / "siglip").tokenizer
    # It keeps capital letters, which SigLIP's does not.
    own.do_lower_case = False
    with pytest.raises(PhotoseekError) as refused:
        siglip_tokenizer("clip:siglip", own)
    assert str(refused.value) == "clip:siglip: its SiglipTokenizer cannot be written as a tokenizer.json"


def test_without_sentence_piece_the_refusal_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = make_siglip_of_sentence_pieces(tmp_path / "siglip")

    def missing(*_: object, **__: object) -> None:
        raise ImportError("\nSiglipTokenizer requires the SentencePiece library but it was not found.\n")

    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", missing)
    with pytest.raises(PhotoseekError) as refused:
        load_text_encoder(f"clip:{own.folder}")
    assert str(refused.value) == f"clip:{own.folder}: its tokenizer needs SentencePiece: pip install .[models]"
