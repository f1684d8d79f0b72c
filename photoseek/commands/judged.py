"""Look into judged data: `photoseek check` and `photoseek explore`."""

from pathlib import Path

import click

from indexer.errors import PhotoseekError
from indexer.printable import counted
from photoseek.options.output_files import REPORT, OutputFile, WritingCommand
from photoseek.options.standard_options import (
    device_option,
    examples,
    judged_argument,
    keep_going_option,
    quiet_option,
    report_policy,
    report_policy_option,
)
from photoseek.progress.console import echo_json, progress_bar, progress_bars, say


@click.command()
@examples("photoseek check data/sample")
@judged_argument
@click.option("--no-photos", is_flag=True, help="Check the tables alone, and open no photo.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@device_option
@quiet_option
def check(judged: Path, no_photos: bool, as_json: bool, device: str, quiet: bool) -> None:
    """Check the judged folder JUDGED: bad rows, photos that do not open, what training and test share.

    Exits with 1 if training would refuse it. Photos are embedded, which training then need not do again.
    """
    from indexer.encoders import load_image_encoder
    from indexer.index import DEFAULT_ENCODER
    from reranker.judgments.checks import check_judgments, findings_table

    encoder = None if no_photos else load_image_encoder(DEFAULT_ENCODER, device=device)
    with progress_bars(quiet) as on_stage:
        findings = check_judgments(judged, encoder, on_stage)
    if as_json:
        echo_json({"judged": str(judged), "findings": [finding.to_json() for finding in findings]})
    else:
        click.echo(findings_table(findings))
    errors = sum(finding.count for finding in findings if finding.severity == "error")
    if errors:
        raise PhotoseekError(f"judged data {judged}: {counted(errors, 'error')}; mend what is listed")


@click.command(cls=WritingCommand)
@examples("photoseek explore data/sample -o report.html")
@judged_argument
@click.option("-o", "--output", type=OutputFile(REPORT), required=True, help="The HTML file to write.")
@click.option(
    "--photos", "photo_set", help="Photo folder to look into.  [default: train_images and test_images, else all]"
)
@report_policy_option
@keep_going_option
@device_option
@quiet_option
def explore(
    judged: Path, output: Path, photo_set: str | None, policy: str, keep_going: bool, device: str, quiet: bool
) -> None:
    """Write a report on what is in the judged folder JUDGED: one HTML file with charts, photos and examples."""
    from indexer.encoders import load_image_encoder
    from indexer.index import DEFAULT_ENCODER
    from reranker.judgments.judged_folder import load_judgments
    from reranker.moderation.policy import Policy
    from reranker.reports import Album, write_report
    from reranker.reports.judged_report import judged_sections
    from reranker.reports.judged_statistics import select_photos
    from reranker.reports.page import check_file

    check_file(output)
    hidden = report_policy(policy)
    judgments = select_photos(
        load_judgments(judged, keep_going=keep_going, on_problem=None if quiet else say), photo_set
    )
    with progress_bar("reading photos", quiet) as on_progress:
        encoder = load_image_encoder(DEFAULT_ENCODER, device=device)
        # A report that shows all photos still tells which ones the default policy would leave out.
        left_out = hidden or Policy.load("minors")
        sections = judged_sections(judgments, left_out, Album.of(judgments, hidden), encoder, on_progress)
    facts = [("folder", str(judged)), ("photos", f"{len(judgments.photos):,}")]
    size = write_report(output, f"Judged data: {judged.resolve().name}", facts, sections)
    click.echo(f"{output}: {counted(len(judgments.photos), 'photo')}, {size / 2**20:.1f} MB")
