"""Forms of short texts, and the mean vector over them."""

import pytest

from indexer.encoders.prompts import PROMPTS, forms_of


@pytest.mark.parametrize(
    ("text", "forms"),
    [
        ("violin", ["violin", "a photo of violin", "a photo of a violin", "a photo of the violin"]),
        ("a dog", ["a dog", "a photo of dog", "a photo of a dog", "a photo of the dog"]),
        (" The red  car", [" The red  car", "a photo of red car", "a photo of a red car", "a photo of the red car"]),
        ("a", ["a", "a photo of a", "a photo of a a", "a photo of the a"]),
        ("{} {0}", ["{} {0}", "a photo of {} {0}", "a photo of a {} {0}", "a photo of the {} {0}"]),
        ("two dogs play here", ["two dogs play here"]),
        ("  ", ["  "]),
        ("", [""]),
    ],
)
def test_texts_of_up_to_three_words_are_asked_in_four_forms(text: str, forms: list[str]) -> None:
    assert forms_of(text, PROMPTS) == forms


def test_without_prompts_a_text_stands_alone() -> None:
    assert forms_of("violin", ()) == ["violin"]
