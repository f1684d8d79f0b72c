"""Show how many queries a ranker refuses that nothing fits, and how many that something does.

    python -m experiments.refusals JUDGED

The photos are those of `train_images`. Random letters, things that none of them shows and German sentences should be
refused; the most frequent words of their captions should not.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from indexer.index import Index
from photoseek import Ranker, Searcher, attach_ranker
from photoseek.options.standard_options import judged_argument
from reranker.evaluation.data import JUDGED_SET
from reranker.judgments.judged_folder import load_judgments
from reranker.judgments.judgments import Judgments, photo_of
from reranker.ranker import DEFAULT_FOLDER
from reranker.training.examples.phrase_examples import phrases_of
from reranker.training.examples.unanswerable_texts import random_strings

# A seed that no training uses.
SEED = 12345
RANDOM_STRINGS, COMMON_WORDS = 300, 200
# Things that none of Flickr8k's 1,000 test photos shows.
ABSENT = (
    "submarine; x-ray of a hand; the surface of the moon; a microscope; a penguin; a space shuttle launch; an "
    "octopus; a typewriter; a piano concert; a volcano erupting; a lighthouse; a wedding cake; a hospital bed; a "
    "courtroom; a robot vacuum; a washing machine; sushi; a chess board; a polar bear; a jellyfish; a cactus in a "
    "pot; an oil rig; a tank; the eiffel tower; a hot air balloon; a bookshelf; a refrigerator; a giraffe; an "
    "elephant; a zebra; a whale; a spider web; a dinosaur skeleton; a toilet; a pizza oven; a violin; a chandelier; a "
    "stop sign; fireworks; a crocodile"
)
GERMAN = (
    "Ein Mann klettert an einer Felswand; Zwei Hunde kämpfen um einen Stock; Ein Mädchen springt ins Wasser; Kinder "
    "spielen Fußball auf der Wiese; Eine Gruppe Menschen steht vor einem Haus; Ein Junge fährt Skateboard; Die Frau "
    "trägt einen roten Mantel; Ein Hund läuft am Strand entlang; Ein Mann sitzt auf einer Bank im Park; Vier Personen "
    "wandern im Gebirge; Ein Kind isst ein Eis; Ein Radfahrer fährt durch den Wald; Das Baby liegt auf einer Decke; "
    "Ein Surfer reitet auf einer Welle; Die Leute tanzen auf der Straße; Ein Mädchen mit blonden Haaren lacht; Ein "
    "weißer Hund trägt einen Ball im Maul; Ein Motorrad fährt um die Kurve; Ein Mann spielt Gitarre auf der Bühne; "
    "Kinder rutschen auf dem Spielplatz; Schnee bedeckt die Berge; Ein Boot liegt im Hafen; Ein Läufer überquert die "
    "Ziellinie; Zwei Frauen trinken Kaffee; Ein Pferd steht auf der Weide; Ein Junge wirft einen Stein in den Fluss; "
    "Der Hund springt über ein Hindernis; Ein alter Mann liest Zeitung; Eine Frau fotografiert die Blumen; "
    "Jugendliche sitzen auf der Treppe; Ein Kletterer hängt am Seil; Ein Basketballspieler wirft den Ball; Das Kind "
    "hält einen Luftballon; Die Katze sitzt am Fenster; Ein Mann repariert sein Fahrrad; Ein Mädchen im rosa Kleid; "
    "Ein brauner Hund schläft auf dem Boden; Menschen warten an der Ampel; Ein Skifahrer springt über die Schanze; "
    "Die Familie macht ein Picknick; Ein Mann angelt am See; Ein Junge taucht im Schwimmbad; Drei Frauen stehen "
    "nebeneinander; Ein Mann mit Hut schaut in die Kamera; Ein Hund schüttelt sich im Wasser; Sonnenuntergang am "
    "Meer; Eine Menschenmenge bei einem Konzert; Ein Kind malt ein Bild; Ein Taxi fährt durch die Stadt; Vögel "
    "fliegen über das Feld"
)


@click.command()
@judged_argument
@click.option("--ranker", type=click.Path(path_type=Path), default=DEFAULT_FOLDER, show_default="the shipped one")
def main(judged: Path, ranker: Path) -> None:
    """Print the share of each kind of query that is refused."""
    judgments = load_judgments(judged)
    loaded = Ranker.load(ranker)
    with tempfile.TemporaryDirectory() as folder:
        photos = judgments.photos[judgments.sets[JUDGED_SET][0]].parent
        index = Index.build(photos, Path(folder) / "index", encoder=loaded.image_encoder_name, regions=True)
        attach_ranker(index, loaded)
        searcher = Searcher(Index.open(index.folder))
        click.echo(f"ranker {searcher.ranker.id}")
        for kind, texts in queries(judgments).items():
            click.echo(f"{kind:<14}{len(texts):>5}  refused {refused(searcher, texts):.3f}")


def queries(judgments: Judgments) -> dict[str, list[str]]:
    """Return the queries by kind.

    Args:
        judgments: The judged data; the most frequent words are those of its judged photos' captions.
    """
    own = set(judgments.sets[JUDGED_SET])
    photos_of: dict[str, set[str]] = {}
    for caption, text in judgments.captions.items():
        if photo_of(caption) in own:
            for word in phrases_of(text):
                if " " not in word:
                    photos_of.setdefault(word, set()).add(photo_of(caption))
    common = sorted(photos_of, key=lambda word: (-len(photos_of[word]), word))[:COMMON_WORDS]
    return {
        "random": random_strings(RANDOM_STRINGS, SEED),
        "absent": ABSENT.split("; "),
        "german": GERMAN.split("; "),
        "common words": common,
    }


def refused(searcher: Searcher, texts: Sequence[str]) -> float:
    """Return the share of texts that get "no good match".

    Args:
        searcher: The photos.
        texts: The queries.
    """
    results = searcher.answer_many([(str(place), text) for place, text in enumerate(texts)], 1)
    return sum(not result.good_match for result in results) / len(texts)


if __name__ == "__main__":
    main()
