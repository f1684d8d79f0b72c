"""Say which photos an index is of: pattern options, what was passed over, and `photoseek forget`."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from photoseek.options.standard_options import examples, index_option, index_words, with_options
from photoseek.progress.console import say

if TYPE_CHECKING:
    from indexer.index import Index
    from indexer.photos.rules.patterns import PhotoFolders


def pattern_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add `--exclude` and `--include` to a command; `photo_folders` reads them."""
    include = "Take what a default, --exclude or an ignore file leaves out."
    exclude = (
        "Leave out what fits, as a line of .gitignore does. The index keeps its patterns until a build gives others."
    )
    return with_options(
        command,
        click.option("--exclude", metavar="PATTERN", multiple=True, help=f"{exclude} '' takes all away."),
        click.option("--include", metavar="PATTERN", multiple=True, help=include),
    )


def photo_folders(
    photos: tuple[str, ...], exclude: tuple[str, ...], include: tuple[str, ...], accept_removals: bool
) -> "PhotoFolders":
    """Return the folders of a build, with the patterns instead of those that the index keeps, if any are given."""
    from indexer.photos.rules.patterns import Patterns, PhotoFolders

    given = Patterns(tuple(filter(None, exclude)), tuple(filter(None, include)))
    return PhotoFolders(photos, given if exclude or include else None, accept_removals)


def echo_passed_over(index: "Index", photos: tuple[str, ...]) -> None:
    """Print how much the walks of these folders passed over, if they did."""
    from indexer.building.roots.passed_over import describe_passed_over
    from indexer.photos.folder_names import Folder, existing_name
    from indexer.user_paths import absolute_path

    folders = [Folder.at(existing_name(os.fsencode(absolute_path(path)))) for path in photos]
    built = {root for root in index.catalogue.roots() if any(map(Folder.at(root).is_same, folders))}
    counts = describe_passed_over(files for root, files in index.catalogue.unindexed.passed_over() if root in built)
    if counts:
        click.echo(f"passed over: {counts}; photoseek info{index_words(index.folder)} --passed-over lists them")


def passed_over_paths(index: "Index") -> list[dict[str, Any]]:
    """Return kind, counts and paths of what the last walk of each root passed over."""
    return [
        {
            "kind": files.kind,
            "root": os.fsdecode(root),
            "files": files.files,
            "folders": files.folders,
            "photos_in_folders": files.photos,
            "all_counted": files.all_counted,
            "paths": [os.fsdecode(path) for path in files.paths],
        }
        for root, files in index.catalogue.unindexed.passed_over()
    ]


def echo_passed_over_paths(index: "Index") -> None:
    """Print what the last walk of each root passed over: a line per kind and root, then the paths below it."""
    from indexer.building.roots.passed_over import describe
    from indexer.printable import printable

    for root, files in index.catalogue.unindexed.passed_over():
        click.echo(f"{describe(files)} under {printable(os.fsdecode(root))}")
        for path in files.paths:
            click.echo(f"  {printable(os.fsdecode(path))}")
        more = files.files + files.folders - len(files.paths)
        if more:
            click.echo(f"  and {more:,} more")


@click.command()
@examples("photoseek forget /media/old-disk/photos")
@click.argument("root", metavar="FOLDER")
@index_option
def forget(root: str, folder: Path) -> None:
    """Take the photo folder FOLDER, or a part of one, out of an index. Photo files are not touched.

    FOLDER need not be there any more. A part of a photo folder comes back with the next build, unless --exclude names
    it.
    """
    from indexer.index import Index
    from indexer.printable import counted
    from indexer.user_paths import absolute_path

    index = Index.open(folder)
    count = index.forget(root)
    click.echo(f"{counted(count, 'photo')} forgotten, {index.catalogue.photo_count():,} left in {folder}")
    path = os.fsencode(absolute_path(root))
    inside = [os.fsdecode(known) for known in index.catalogue.roots() if path.startswith(known.rstrip(b"/") + b"/")]
    if inside:
        say(f"the next build of {inside[0]} takes them in again, unless --exclude names them")
