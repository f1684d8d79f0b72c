"""Ask a short text in several forms: joint encoders have learned captions, and a bare "violin" is none."""

from collections.abc import Sequence

# Forms beside the text itself, after the prompt ensembles of Radford et al. 2021, "Learning Transferable Visual Models
# From Natural Language Supervision", 3.1.4; `{}` stands for the text without its article.
PROMPTS = ("a photo of {}", "a photo of a {}", "a photo of the {}")
# Texts of at most this many words are asked in these forms; longer ones are captions already.
SHORT_WORDS = 3
ARTICLES = frozenset(("a", "an", "the"))


def forms_of(text: str, prompts: Sequence[str]) -> list[str]:
    """List the forms in which a text is asked, the text itself first.

    Args:
        text: The text.
        prompts: Forms with `{}` for the text.

    Returns:
        The text and its forms; a text of more than three words stands alone.
    """
    words = text.split()
    if not 0 < len(words) <= SHORT_WORDS:
        return [text]
    named = words[1:] if len(words) > 1 and words[0].lower() in ARTICLES else words
    return [text, *(prompt.replace("{}", " ".join(named)) for prompt in prompts)]
