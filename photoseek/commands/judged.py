"""Look into judged data: `photoseek check` and `photoseek explore`."""

import json
from pathlib import Path

import click

from indexer.errors import PhotoseekError
from photoseek.commands.console import progress, say, stages
from photoseek.commands.options import (
    device_option,
    judged_argument,
    keep_going_option,
    quiet_option,
    show_policy_option,
)


@click.command()
@judged_argument
@click.option("--no-photos", is_flag=True, help="Check the tables alone, and open no photo.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@device_option
@quiet_option
def check(judged: Path, no_photos: bool, as_json: bool, device: str, quiet: bool) -> None:
    """Check the judged folder JUDGED: bad rows, photos that do not open, what training and test share.

    Exits with 1 if training would refuse it. Photos are embedded, which training then need not do again.

    \b
    photoseek check data/sample
    """
    from indexer.encoders import load_image_encoder
    from indexer.index import DEFAULT_ENCODER
    from reranker.judgments.checks import check_judgments, table

    encoder = None if no_photos else load_image_encoder(DEFAULT_ENCODER, device=device)
    with stages(quiet) as on_stage:
        findings = check_judgments(judged, encoder, on_stage)
    shown = {"format": 1, "judged": str(judged), "findings": [finding.as_dict() for finding in findings]}
    click.echo(json.dumps(shown) if as_json else table(findings))
    errors = sum(finding.count for finding in findings if finding.severity == "error")
    if errors:
        raise PhotoseekError(f"judged data {judged}: {errors} error{'s' * (errors > 1)}; mend what is listed")


@click.command()
@judged_argument
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The HTML file to write.")
@click.option(
    "--photos", "photo_set", help="Photo folder to look into.  [default: train_images and test_images, else all]"
)
@show_policy_option
@keep_going_option
@device_option
@quiet_option
def explore(
    judged: Path, output: Path, photo_set: str | None, policy: str, keep_going: bool, device: str, quiet: bool
) -> None:
    """Write a report on what is in the judged folder JUDGED: one HTML file with charts, photos and examples.

    \b
    photoseek explore data/sample -o report.html
    """
    from indexer.encoders import load_image_encoder
    from indexer.index import DEFAULT_ENCODER
    from reranker.judgments.judged_folder import load_judgments
    from reranker.moderation.policy import Policy
    from reranker.reports import Album, write_report
    from reranker.reports.judged_data import sections_of
    from reranker.reports.judged_statistics import looked_at
    from reranker.reports.page import check_file

    check_file(output)
    chosen = None if policy == "none" else Policy.load(policy)
    judgments = looked_at(load_judgments(judged, keep_going=keep_going, on_problem=None if quiet else say), photo_set)
    with progress("reading photos", quiet) as advance:
        encoder = load_image_encoder(DEFAULT_ENCODER, device=device)
        # A report that shows all photos still says what the usual policy would leave out.
        left_out = chosen or Policy.load("minors")
        sections = sections_of(judgments, left_out, Album.of(judgments, chosen), encoder, advance)
    facts = [("folder", str(judged)), ("photos", f"{len(judgments.photos):,}")]
    size = write_report(output, f"Judged data: {judged.resolve().name}", facts, sections)
    click.echo(f"{output}: {len(judgments.photos):,} photo{'s' * (len(judgments.photos) != 1)}, {size / 2**20:.1f} MB")
