"""Assemble the report on the seed project: one section per step, the last with the conclusions."""

from experiments.seed_project import data_sections, model_sections
from experiments.seed_project.conclusions import conclusions
from experiments.seed_project.project import SeedProject
from reranker.reports.album import Album
from reranker.reports.page import Points, Section


def sections_of(project: SeedProject, album: Album) -> list[Section]:
    """Write the ten sections of the report.

    Args:
        project: The project with its results.
        album: The photos that may be shown.

    Returns:
        One section per step, in their order.
    """
    return [
        Section("Loading", data_sections.loading(project)),
        Section("Exploration", data_sections.exploration(project)),
        Section("Generalised score", data_sections.generalised_score(project)),
        Section("Checks", data_sections.checks(project)),
        Section("Image vectors", data_sections.image_vectors(project)),
        Section("Text vectors", data_sections.text_vectors(project)),
        Section("Joining and splitting", data_sections.joining_and_splitting(project)),
        Section("Training", model_sections.training(project)),
        Section("Testing", model_sections.testing(project, album)),
        Section("Conclusions", [model_sections.largest_shares(project), Points(conclusions(project))]),
    ]
