"""The demo: index real photos, ask four queries, show the answers. `make demo` runs it."""

import os
from importlib.util import find_spec
from pathlib import Path

import click

from indexer.errors import PhotoseekError
from indexer.index import Index
from reranker.ranker import Ranker
from search.contact_sheet import write_sheet
from search.query_files import read_queries
from search.results import table
from search.searcher import Searcher


def shipped_photos() -> list[Path]:
    """The photo folders inside scikit-image and scikit-learn, which the demo has without a download."""
    folders = []
    for package, inside in (("skimage", "data"), ("sklearn", "datasets/images")):
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise PhotoseekError(f"the demo's photos are inside {package}: pip install 'photoseek[demo]'")
        folders.append(Path(spec.origin).parent / inside)
    return folders


@click.command()
@click.option("--photos", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Your own photos.")
@click.option("--index", "folder", type=click.Path(path_type=Path), default="indexes/demo")
@click.option(
    "--queries", type=click.Path(exists=True, dir_okay=False, path_type=Path), default="data/demo-queries.txt"
)
def demo(photos: Path | None, folder: Path, queries: Path) -> None:
    """Index photos, ask the queries of a file, print the answers and write a contact sheet."""
    try:
        _run([photos] if photos is not None else shipped_photos(), folder, queries)
    except PhotoseekError as error:
        raise click.ClickException(str(error)) from None


def _run(photos: list[Path], folder: Path, queries: Path) -> None:
    for source in photos:
        click.echo(f"indexing {_from_here(str(source))}")
        Index.build(source, folder, regions=True)
    index = Index.open(folder)
    index.attach(Ranker.default())
    click.echo(f"{index.catalogue.photo_count()} photos in {folder}\n")
    searcher = Searcher(Index.open(folder))
    answers = searcher.answer_many([(query.id, query.text) for query in read_queries(queries)], k=3)
    for answer in answers:
        if answer.good_match:
            click.echo(f"{answer.text}\n{_from_here(table(answer))}\n")
        else:
            best = answer.hits[0]
            name = _from_here(best.path)
            click.echo(f"{answer.text}\n      no good match (the best has relevance {best.relevance:.3f}: {name})\n")
    sheet = folder.with_name(f"{folder.name}-sheet.jpg")
    write_sheet(answers, sheet)
    click.echo(f"contact sheet   {sheet}")
    click.echo(f"index           {folder}")
    click.echo(f"ranker          {searcher.ranker.id}, shipped; its card is reranker/default/README.md")
    click.echo("\ntry next:")
    click.echo(f'  .venv/bin/photoseek search "a red flower" -i {folder} -k 3')
    click.echo('  .venv/bin/photoseek build ~/Pictures && .venv/bin/photoseek search "a dog on a beach"')
    click.echo("  .venv/bin/photoseek --help")


def _from_here(text: str) -> str:
    """Paths as they are from the current folder."""
    return text.replace(os.getcwd() + os.sep, "")


if __name__ == "__main__":
    demo()
