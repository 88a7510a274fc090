"""Which project a command means, from where it is called."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from stackfile.cli.arguments import Arguments, Parser
from stackfile.cli.context import Context, check_services, expand
from stackfile.cli.options import GLOBAL
from stackfile.cli.output.console import Console
from stackfile.errors import ActionError, NotFoundError, UsageError
from stackfile.model.observed import Project
from stackfile.model.stack import Service, Stack


class Engine:
    """Knows projects."""

    def __init__(self, *projects: Project) -> None:
        self._projects = list(projects)

    def projects(self, directories: Sequence[str] = ()) -> list[Project]:
        return [each for each in self._projects if not directories or os.path.realpath(each.directory) in directories]

    def project(self, name: str) -> Project:
        found = [each for each in self._projects if each.name == name]
        if not found:
            raise NotFoundError("project", name)
        return found[0]

    def close(self) -> None:
        pass


def context(engine: Engine, directory: str, *argv: str, environ: dict[str, str] | None = None) -> Context:
    parser = Parser(GLOBAL)
    parser.parse(argv, trailing=False)
    options: Arguments = parser.results[0]
    made = Context(Console(io.StringIO(), io.StringIO(), {}), options, environ or {}, directory, ())
    made._client = engine  # type: ignore[assignment]
    return made


def project(name: str, directory: Path, *files: str) -> Project:
    stack = Stack(name=name, files=files, services={"web": Service(name="web", image="x")})
    return Project(name=name, directory=str(directory), stack=stack)


def test_by_name_by_directory_and_from_below(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    engine = Engine(project("one", tmp_path / "a"), project("two", tmp_path / "c"))
    assert context(engine, "/", "-p", "two").project().name == "two"
    assert context(engine, "/", environ={"COMPOSE_PROJECT_NAME": "two"}).project().name == "two"
    assert context(engine, str(below)).project().name == "one"
    assert context(engine, "/", "-f", f"{tmp_path}/c/stack.yaml").project().name == "two"
    assert context(engine, str(tmp_path), "--project-directory", "c").project().name == "two"


def test_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert context(Engine(project("one", tmp_path / "real")), str(tmp_path / "link")).project().name == "one"


def test_two_projects_of_a_directory(tmp_path: Path) -> None:
    engine = Engine(project("one", tmp_path, "stack.yaml"), project("two", tmp_path, "other.yaml"))
    assert context(engine, str(tmp_path), "-f", "other.yaml").project().name == "two"
    assert context(engine, str(tmp_path)).project().name == "one", "whose file is found without -f"
    engine = Engine(project("one", tmp_path, "this.yaml"), project("two", tmp_path, "other.yaml"))
    with pytest.raises(ActionError) as caught:
        context(engine, str(tmp_path)).project()
    assert caught.value.reason == "ambiguous"


def test_files_that_were_included_tell_nothing_apart(tmp_path: Path) -> None:
    one, two = project("one", tmp_path, "stack.yaml"), project("two", tmp_path, "other.yaml")
    assert two.stack is not None
    two = replace(two, stack=replace(two.stack, files=(*two.stack.files, str(tmp_path / "base.yaml"))))
    assert context(Engine(one, two), str(tmp_path), "-f", "other.yaml").project().name == "two"


def test_a_file_that_says_another_name_means_no_neighbour(tmp_path: Path) -> None:
    """`down -f other.yaml` must not take away what another file of the directory began, valid or not."""
    engine = Engine(project("one", tmp_path, "stack.yaml"))
    (tmp_path / "other.yaml").write_text("services: {a: [\nname: 'other'  # mine\n")
    assert context(engine, str(tmp_path), "-f", "other.yaml").find_project() is None
    (tmp_path / "second.yaml").write_text("name: one\n")
    assert context(engine, str(tmp_path), "-f", "second.yaml").project().name == "one"
    assert context(engine, str(tmp_path), "-f", "gone.yaml").project().name == "one"


def test_no_project(tmp_path: Path) -> None:
    made = context(Engine(), str(tmp_path))
    assert made.find_project() is None
    with pytest.raises(NotFoundError):
        made.project()


def test_groups_stand_for_their_members() -> None:
    stack = Stack(
        name="s",
        services={name: Service(name=name, image="x") for name in ("web", "worker-a", "worker-b")},
        groups={"worker": ("worker-a", "worker-b")},
    )
    assert expand(stack, ["worker", "web", "worker-a"]) == ("worker-a", "worker-b", "web")
    check_services(stack, ["worker", "web"])
    with pytest.raises(UsageError) as caught:
        check_services(stack, ["wbe"])
    assert (caught.value.reason, caught.value.hint) == ("no-such-service", "did you mean web?")
