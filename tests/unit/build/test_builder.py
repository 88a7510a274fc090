"""Building: results, cache and reasons."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from stackfile.errors import ActionError, NotFoundError, StackError
from stackfile.model.stack import SECOND, Healthcheck, Step
from tests.unit.build.kit import Workbench, image

pytestmark = pytest.mark.root


def copy(context: str, source: str = "app", target: str = "/app") -> Step:
    return Step(kind="copy", source=(source,), target=target, context=context)


def env(**values: str) -> Step:
    return Step(kind="env", mapping=values)


def run(text: str) -> Step:
    return Step(kind="run", argv=("/bin/sh", "-ec", text))


def test_first_build_and_then_nothing(bench: Workbench) -> None:
    one = image("one", copy(bench.context({"app": None, "app/f": "text"})), env(A="1"))
    assert bench.reasons(one) == ["first build", "first build"]
    built = bench.build(one)
    assert bench.read(built.image, "/app/f") == b"text"
    assert built.summary == "2 steps, on scratch"
    evaluation = bench.evaluate(one)["one"]
    assert evaluation.image == built.image
    assert [step.cached for step in evaluation.steps] == [True, True]
    assert bench.images.get("test/one").id == built.image


def test_the_same_inputs_give_the_same_image(bench: Workbench) -> None:
    one = image("one", copy(bench.context({"app": None, "app/f": "text"})), Step(kind="workdir", text="/app/w"))
    first = bench.build(one)
    assert bench.build(one, no_cache=True).image == first.image
    assert bench.build(one).image == first.image
    bench.images.remove("test/one")
    assert bench.build(one).image == first.image


def test_a_changed_file_is_named(bench: Workbench) -> None:
    bench.build(image("one", copy(bench.context({"app": None, "app/a": "1", "app/b": "1"})), env(A="1")))
    changed = image("one", copy(bench.context({"app": None, "app/a": "1", "app/b": "2"})), env(A="1"))
    assert bench.reasons(changed) == ["app/b changed", "the step before it changed"]
    more = image("one", copy(bench.context({"app": None, "app/a": "2", "app/b": "1", "app/c": ""})), env(A="1"))
    assert bench.reasons(more)[0] == "app/a changed and 1 more"
    fewer = image("one", copy(bench.context({"app": None, "app/a": "1"})), env(A="1"))
    assert bench.reasons(fewer)[0] == "app/b removed"


def test_a_changed_setting_is_named_and_layers_stay(bench: Workbench) -> None:
    context = bench.context({"app": "x"})
    first = bench.build(image("one", env(A="1", B="2"), copy(context)))
    changed = image("one", env(A="1", B="3"), copy(context))
    assert bench.reasons(changed) == ["environment B changed", ""]
    assert bench.evaluate(changed)["one"].image == ""
    second = bench.build(changed)
    assert second.image != first.image
    assert bench.images.get(first.image).layers == bench.images.get(second.image).layers


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (Step(kind="copy", source=("app",), target="/other"), "target changed"),
        (Step(kind="copy", source=("app",), target="/app", chown="5"), "chown changed"),
        (Step(kind="add", source=("app",), target="/app"), "was a copy step"),
    ],
)
def test_a_changed_step_says_what_of_it(bench: Workbench, step: Step, reason: str) -> None:
    from dataclasses import replace

    context = bench.context({"app": "x"})
    bench.build(image("one", copy(context)))
    assert bench.reasons(image("one", replace(step, context=context))) == [reason]


def test_new_steps(bench: Workbench) -> None:
    one = image("one", copy(bench.context({"app": "x"})))
    bench.build(one)
    longer = image("one", *one.steps, env(A="1"))
    assert bench.reasons(longer) == ["", "new step"]


def test_a_base_that_changes(bench: Workbench) -> None:
    base = image("base", copy(bench.context({"app": "1"})))
    top = image("top", copy(bench.context({"app": "y"}), target="/y"), base="base")
    bench.build(base)
    bench.build(base, top)
    base = image("base", copy(bench.context({"app": "2"})))
    assert bench.reasons(base, top) == ["image base changed"]
    bench.build(base)
    assert bench.reasons(base, top) == ["image base changed"]
    built = bench.build(base, top)
    assert bench.read(built.image, "/app") == b"2"
    assert bench.images.get(built.image).parent == bench.images.get("test/base").id


def test_a_base_of_the_store(bench: Workbench) -> None:
    from stackfile.model.stack import ImageResource

    bench.build(image("base", copy(bench.context({"app": "1"})), env(A="1")))
    top = ImageResource(name="top", base="test/base", steps=(env(B="2"),), tags=("test/top",))
    assert bench.images.get(bench.build(top).image).config.environment == ("A=1", "B=2")
    unknown = ImageResource(name="top", base="nowhere", tags=("test/top",))
    with pytest.raises(NotFoundError) as caught:
        bench.evaluate(unknown)
    assert caught.value.reason == "image-not-found"


def test_a_base_that_is_not_built(bench: Workbench) -> None:
    base, top = image("base", copy(bench.context({"app": "1"}))), image("top", env(A="1"), base="base")
    with pytest.raises(ActionError) as caught:
        bench.build(base, top)
    assert caught.value.reason == "build-failed"


def test_circles(bench: Workbench) -> None:
    with pytest.raises(StackError) as caught:
        bench.evaluate(image("a", base="b"), image("b", base="a"))
    assert caught.value.reason == "image-cycle"


def test_copy_from_another_image(bench: Workbench) -> None:
    other = image("other", copy(bench.context({"app": None, "app/f": "text", "app/l": "→f"})))
    top = image("top", Step(kind="copy", source=("/app",), target="/mine", from_image="other"))
    assert bench.evaluate(other, top)["top"].image == ""
    bench.build(other)
    built = bench.build(other, top)
    assert bench.read(built.image, "/mine/l") == b"text"
    assert bench.evaluate(other, top)["top"].fresh
    assert bench.reasons(image("other", env(A="1"), *other.steps), top) == [""]


def test_a_lost_layer_is_made_again(bench: Workbench) -> None:
    one = image("one", copy(bench.context({"app": "x"})))
    built = bench.build(one)
    bench.images.layers.remove(bench.images.get(built.image).layers[0])
    assert bench.reasons(one) == ["its layer is gone"]
    assert bench.build(one).image == built.image
    assert bench.images.lower(built.image)


def test_a_moved_name_counts_as_not_built(bench: Workbench) -> None:
    first = image("one", env(A="1"))
    built = bench.build(first)
    second = image("one", env(A="2"))
    bench.build(second)
    evaluation = bench.evaluate(first)["one"]
    assert not evaluation.fresh
    assert (evaluation.image, len(evaluation.unnamed)) == (built.image, 1)
    bench.build(first)
    assert bench.evaluate(first)["one"].fresh


def test_how_images_that_are_gone_were_built_is_forgotten_at_start(bench: Workbench) -> None:
    one, other = (image(name, copy(bench.context({"app": name}))) for name in ("one", "other"))
    bench.build(one)
    bench.images.remove(bench.build(other).image, force=True)
    bench.builder.recover()
    kept = [key for key, _ in bench.images.rows.list_cache() if key.startswith(("last:", "files:"))]
    assert sorted(kept) == [f"{kind}:{one.tags[0]}#0" for kind in ("files", "last")]
    assert bench.reasons(one) == [""]


def test_settings(bench: Workbench) -> None:
    health = Healthcheck(test=("CMD", "true"), interval=SECOND)
    steps = (
        env(A="1", B="2"),
        env(B="3"),
        Step(kind="label", mapping={"k": "v"}),
        Step(kind="user", text="me"),
        Step(kind="expose", argv=("80", "53/udp")),
        Step(kind="volume", argv=("/data",)),
        Step(kind="cmd", argv=("old",)),
        Step(kind="entrypoint", argv=("/init",)),
        Step(kind="shell", argv=("/bin/bash", "-c")),
        Step(kind="stopsignal", text="SIGINT"),
        Step(kind="healthcheck", healthcheck=health),
    )
    config = bench.images.get(bench.build(image("one", *steps)).image).config
    assert config.environment == ("A=1", "B=3")
    assert config.labels == {"k": "v"}
    assert config.user == "me"
    assert config.exposed_ports == ("80/tcp", "53/udp")
    assert config.volumes == ("/data",)
    assert config.entrypoint == ("/init",)
    assert config.command == ("old",)
    assert config.shell == ("/bin/bash", "-c")
    assert config.stop_signal == "SIGINT"
    assert config.healthcheck == health


def test_workdir_is_made_where_it_is_missing(bench: Workbench) -> None:
    app = copy(bench.context({"app": None, "app/f": "x"}))
    built = bench.build(image("one", app, Step(kind="workdir", text="/app"), Step(kind="workdir", text="sub/dir")))
    record = bench.images.get(built.image)
    assert record.config.working_dir == "/app/sub/dir"
    assert len(record.layers) == 2
    assert os.path.isdir(f"{bench.images.lower(built.image)[0]}/app/sub/dir")


def test_a_relative_target_is_below_the_workdir(bench: Workbench) -> None:
    context = bench.context({"app": None, "app/f": "x"})
    built = bench.build(image("one", Step(kind="workdir", text="/w"), copy(context, target="here")))
    assert bench.read(built.image, "/w/here/f") == b"x"


def base_step(bench: Workbench) -> Step:
    return copy(bench.context({"app": None, "app/f": "x"}))


def test_run(bench: Workbench) -> None:
    def effect(upper: Path) -> int:
        (upper / "made").write_text("by run")
        return 0

    bench.runner.effect = effect
    steps = (base_step(bench), Step(kind="arg", mapping={"V": "1", "A": "arg"}), env(A="env"),
             Step(kind="workdir", text="/app"), Step(kind="user", text="5"), run("make it"))  # fmt: skip
    built = bench.build(image("one", *steps))
    assert bench.runner.calls == [(("/bin/sh", "-ec", "make it"), {"V": "1", "A": "env"}, "5", "/app")]
    assert bench.read(built.image, "/made") == b"by run"
    assert bench.read(built.image, "/app/f") == b"x"
    assert bench.images.get(built.image).config.environment == ("A=env",)
    assert "last line" in bench.lines
    bench.build(image("one", *steps))
    assert len(bench.runner.calls) == 1
    other = (*steps[:1], Step(kind="arg", mapping={"V": "2", "A": "arg"}), *steps[2:])
    assert bench.reasons(image("one", *other)) == ["", "argument V changed", "", "", "", "environment V changed"]
    assert os.listdir(bench.images.paths.temporary) == []


def test_builds_at_once_make_a_step_once(bench: Workbench) -> None:
    """Its layer has the time at which it was made: two would be two images."""

    def effect(upper: Path) -> int:
        (upper / "made").write_text(f"by call {len(bench.runner.calls)}")
        return 0

    bench.runner.effect = effect
    same = [image(name, base_step(bench), run("make it")) for name in ("one", "two", "three")]

    async def at_once() -> set[str]:
        builds = (bench.builder.build({each.name: each}, each.name, progress=bench.lines.append) for each in same)
        return {built.image for built in await asyncio.gather(*builds)}

    assert len(asyncio.run(at_once())) == 1
    assert len(bench.runner.calls) == 1
    assert any(line.startswith("waiting for another build's step: run make it") for line in bench.lines)


def test_run_in_another_shell(bench: Workbench) -> None:
    bench.build(image("one", base_step(bench), Step(kind="shell", argv=("/bin/bash", "-c")), run("x")))
    assert bench.runner.calls[0][0] == ("/bin/bash", "-c", "x")


def test_run_that_changes_nothing_makes_no_layer(bench: Workbench) -> None:
    one = image("one", base_step(bench), run("true"))
    built = bench.build(one)
    assert len(bench.images.get(built.image).layers) == 1
    bench.builder.recover()
    assert bench.evaluate(one)["one"].fresh


def test_run_that_fails(bench: Workbench) -> None:
    bench.runner.effect = lambda upper: 3
    one = image("one", base_step(bench), run("false"))
    with pytest.raises(ActionError) as caught:
        bench.build(one)
    assert caught.value.reason == "build-failed"
    assert caught.value.details["exit"] == 3
    assert "last line" in caught.value.cause
    assert os.listdir(bench.images.paths.temporary) == []
    assert bench.reasons(one) == ["", "new step"]
    assert bench.images.list() == []


def test_run_needs_something_to_run_in(bench: Workbench) -> None:
    with pytest.raises(ActionError) as caught:
        bench.build(image("one", run("true")))
    assert caught.value.reason == "build-failed"


def test_files_that_were_not_sent(bench: Workbench) -> None:
    with pytest.raises(ActionError) as caught:
        bench.build(image("one", Step(kind="copy", source=("app",), target="/app")))
    assert caught.value.reason == "build-failed"


def test_add_unpacks_archives(bench: Workbench, tmp_path: Path) -> None:
    import gzip
    import io
    import tarfile

    from stackfile import wire
    from stackfile.digest import sha256
    from stackfile.model.image import ContextEntry, ContextManifest

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("dir/f")
        info.size, info.uid = 4, 12
        tar.addfile(info, io.BytesIO(b"text"))
    data = gzip.compress(buffer.getvalue(), mtime=0)
    digest = bench.images.blobs.put([data])
    entries = (ContextEntry(path="a.tgz", type="file", mode=0o644, size=len(data), digest=digest),)
    manifest = wire.canonical(ContextManifest(entries=entries))
    assert bench.contexts.add(sha256(manifest), manifest) == []
    step = Step(kind="add", source=("a.tgz",), target="/opt", context=sha256(manifest))
    built = bench.build(image("one", step))
    assert bench.read(built.image, "/opt/dir/f") == b"text"
    assert os.stat(f"{bench.images.lower(built.image)[0]}/opt/dir/f").st_uid == 12
    plain = bench.build(image("two", Step(kind="copy", source=("a.tgz",), target="/opt/", context=sha256(manifest))))
    assert bench.read(plain.image, "/opt/a.tgz") == data
    assert os.listdir(bench.images.paths.temporary) == []
