import pytest

from reranker.moderation.terms import FoundTerm, Terms, fold_text

FORMS = {"children": "child"}
LISTS = {"animal": ["sea lion", "goat", "wolf"], "colour": ["black", "white"], "Four-Legged": ["goat", "wolf"]}


def found(terms: list[str], text: str, exceptions: tuple[str, ...] = ()) -> FoundTerm | None:
    return Terms.of(terms, exceptions, LISTS, {**FORMS, "wolves": "wolf"}).find(text)


@pytest.mark.parametrize(
    ("term", "text", "words"),
    [
        ("child", "the CHILD.", "child"),
        ("child", "two children", "children"),
        ("child", "a child\u2019s toy", "child's"),
        ("child", "the children's toys", "children's"),
        ("baby", "babies", "babies"),
        ("high school", "a high-school team", "high school"),
        ("under-age", "under age drinkers", "under age"),
        ("gun*", "three Gunners", "gunners"),
        ("=minors", "no minors", "minors"),
        ("<animal>", "a sea-lion barks", "sea lion"),
        ("<colour> <animal>", "two white wolves", "white wolves"),
        ("& son", "Miller & Sons", "& sons"),
        ("R&B", "an r&b singer", "r & b"),
        ("<colour>-<animal>", "a white-goat", "white goat"),
        ("a <Four-Legged>", "a Wolf", "a wolf"),
        # Accents, wide letters and letters that nobody sees change nothing.
        ("child", "a chi\u0301ld", "child"),
        ("child", "a \uff43\uff48\uff49\uff4c\uff44", "child"),
        ("child", "a ch\u200bild", "child"),
    ],
)
def test_a_term_finds_every_form_of_its_words(term, text, words):
    assert found([term], text) == FoundTerm(term, words)


@pytest.mark.parametrize(
    ("term", "text"),
    [
        ("kid", "kidney beans"),
        ("high school", "a school on a high hill"),
        ("=minors", "a minor road"),
        ("gun*", "it has begun"),
        ("<colour> <animal>", "a white sea"),
        ("son", "a person , a sonnet and a season"),
        ("child", ""),
        ("child", "?!"),
    ],
)
def test_a_term_finds_nothing_else(term, text):
    assert found([term], text) is None


def test_the_first_term_of_the_text_is_told_and_exceptions_are_cut_out_before():
    terms, exceptions = ["kid", "baby"], ("baby <animal>", "=kidding")
    assert found(terms, "a baby goat", exceptions) is None
    assert found(terms, "just kidding", exceptions) is None
    assert found(terms, "a baby sea lion and a baby", exceptions) == FoundTerm("baby", "baby")
    assert found(terms, "a kid and a baby goat", exceptions) == FoundTerm("kid", "kid")
    assert found(terms, "a baby looks at a goat", exceptions) == FoundTerm("baby", "baby")


def test_words_that_an_exception_stood_between_do_not_become_a_phrase():
    assert found(["high school"], "a high baby goat school", ("baby goat",)) is None
    assert found(["high school"], "a high school", ("baby goat",)) == FoundTerm("high school", "high school")


def test_a_stemmed_exception_does_not_cover_a_form_that_is_written_exactly():
    # "child's play" by stem would cover "children play".
    assert found(["child"], "children play", ("=child's play",)) == FoundTerm("child", "children")
    assert found(["child"], "mere child's play", ("=child's play",)) is None


@pytest.mark.parametrize(
    ("term", "reason"),
    [
        ("C++", "term 'C++': 'c++' is no word"),
        ("<beast>", "term '<beast>' names the word list 'beast', which is not there"),
        (" - ", "term ' - ' holds no word"),
        ("*", "term '*': '*' is no word"),
    ],
)
def test_a_term_that_makes_no_sense_is_refused(term, reason):
    with pytest.raises(ValueError, match="term") as caught:
        Terms.of([term])
    assert str(caught.value) == reason


def test_a_very_long_text_is_read_to_its_end():
    assert found(["child"], "snow " * 20_000 + "child") == FoundTerm("child", "child")
    assert found(["child"], "s" * 1_000_000) is None


def test_folded_text_reads_as_it_looks():
    assert fold_text("\ufb01sh CAF\u00c9 \u2019s") == "fish cafe 's"
