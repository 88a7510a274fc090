"""What is refused before anything is planned. Pure."""

from __future__ import annotations

from stackfile.errors import RefusedError
from stackfile.model.observed import Observed, UpOptions
from stackfile.model.stack import Stack


def check(stack: Stack, observed: Observed, options: UpOptions) -> None:
    """Raise RefusedError (`directory-differs`, `environment-switch`) unless the options allow it."""
    project = observed.project
    if project is None:
        return
    if project.directory and stack.directory and project.directory != stack.directory and not options.adopt:
        raise RefusedError(
            "directory-differs",
            f"project {stack.name} belongs to {project.directory}, not to {stack.directory}",
            hint="give this stack another name (-p NAME), or take the project over with --adopt",
        )
    if project.environment != stack.environment and not options.switch_environment:
        applied, wanted = project.environment or "(base)", stack.environment or "(base)"
        raise RefusedError(
            "environment-switch",
            f"project {stack.name} runs environment {applied}, not {wanted}",
            hint="--switch-environment applies the other one to the same project",
        )
