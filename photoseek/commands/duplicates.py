"""List what belongs together: `photoseek duplicates`."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from photoseek.options.standard_options import examples, index_option, index_words
from photoseek.progress.console import echo_json, say

if TYPE_CHECKING:
    from indexer.stacks.photo_groups import GroupedPhoto


@click.command()
@examples("photoseek duplicates -i indexes/photos")
@index_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def duplicates(folder: Path, as_json: bool) -> None:
    """List photos that belong together: copies, bursts, RAW + JPEG.

    Every group has its best copy first, the one of most pixels and then of most bytes.
    """
    from indexer.index import Index
    from indexer.storage.tables.stack_tables import CURRENT_SETTING

    index = Index.open(folder)
    groups = index.groups()
    if index.catalogue.setting(CURRENT_SETTING) is None:
        command = f"photoseek build PHOTOS{index_words(folder)}"
        say(f"note: photos were not grouped since the index was changed; {command} does it")
    if as_json:
        listed = [{"photos": [asdict(photo) for photo in group]} for group in groups]
        echo_json({"groups": listed})
        return
    _echo_groups(groups)


def _echo_groups(groups: "Sequence[Sequence[GroupedPhoto]]") -> None:
    """Print the groups, one photo per line with its pixels and bytes, and how much there is of it."""
    from indexer.printable import printable

    for group in groups:
        click.echo(f"{len(group)} photos")
        for photo in group:
            click.echo(f"{photo.width:>8} x {photo.height:<6}{photo.bytes:>14,} bytes  {printable(photo.path)}")
    members = sum(len(group) for group in groups)
    click.echo(f"groups: {len(groups)}, photos: {members}")
