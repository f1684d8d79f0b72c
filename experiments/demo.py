"""Index real photos, ask the queries of a file, and show the answers; `make demo` runs it.

python -m experiments.demo [--photos FOLDER] [--index FOLDER] [--queries FILE]
"""

import os
from importlib.util import find_spec
from pathlib import Path

import click

from indexer.errors import PhotoseekError
from indexer.index import Index
from reranker.ranker import Ranker
from search.contact_sheet import write_sheet
from search.query_files import read_queries
from search.results import SearchResult, table
from search.searcher import Searcher

# Hits that are shown for each query.
HITS = 3


@click.command()
@click.option("--photos", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Your own photos.")
@click.option("--index", "folder", type=click.Path(path_type=Path), default="indexes/demo")
@click.option(
    "--queries", type=click.Path(exists=True, dir_okay=False, path_type=Path), default="data/demo-queries.txt"
)
def main(photos: Path | None, folder: Path, queries: Path) -> None:
    """Index photos, ask the queries of a file, print the answers and write a contact sheet."""
    try:
        _build_index([photos] if photos is not None else packaged_photos(), folder)
        searcher = Searcher(Index.open(folder))
        results = searcher.answer_many([(query.id, query.text) for query in read_queries(queries)], k=HITS)
        for result in results:
            click.echo(f"{result.text}\n{_shown(result)}\n")
        sheet = folder.with_name(f"{folder.name}-sheet.jpg")
        write_sheet(results, sheet)
    except PhotoseekError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"contact sheet   {sheet}")
    click.echo(f"index           {folder}")
    click.echo(f"ranker          {searcher.ranker.id}, shipped; its card is reranker/default/README.md")
    click.echo("\ntry next:")
    click.echo(f'  .venv/bin/photoseek search "a red flower" -i {folder} -k 3')
    click.echo('  .venv/bin/photoseek build ~/Pictures && .venv/bin/photoseek search "a dog on a beach"')
    click.echo("  .venv/bin/photoseek --help")


def packaged_photos() -> list[Path]:
    """Find the photo folders inside scikit-image and scikit-learn, which need no download.

    Returns:
        The folders.

    Raises:
        PhotoseekError: One of the packages is missing.
    """
    folders = []
    for package, inside in (("skimage", "data"), ("sklearn", "datasets/images")):
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise PhotoseekError(f"the demo's photos are inside {package}: pip install 'photoseek[demo]'")
        folders.append(Path(spec.origin).parent / inside)
    return folders


def _build_index(sources: list[Path], folder: Path) -> None:
    """Index the photos of every source in one folder, and attach the shipped ranker."""
    for source in sources:
        click.echo(f"indexing {_from_here(str(source))}")
        Index.build(source, folder, regions=True)
    index = Index.open(folder)
    index.attach(Ranker.default())
    click.echo(f"{index.catalogue.photo_count()} photos in {folder}\n")


def _shown(result: SearchResult) -> str:
    """Return the hits as a table, or the best of them where no hit is good."""
    if result.good_match:
        return _from_here(table(result))
    best = result.hits[0]
    return f"      no good match (the best has relevance {best.relevance:.3f}: {_from_here(best.path)})"


def _from_here(text: str) -> str:
    """Write the paths in a text relative to the current folder."""
    return text.replace(os.getcwd() + os.sep, "")


if __name__ == "__main__":
    main()
