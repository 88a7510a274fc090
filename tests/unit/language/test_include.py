"""`include`: stacks that join a stack, each with its own directory and variables."""

from __future__ import annotations

from stackfile.model.stack import Mount
from tests.unit.language.memory import errors_of, errors_of_files, load_files

DATABASE = """\
name: ignored
services:
  db: {image: "db:${VERSION}", volumes: ["./init:/init"], env_file: own.env, networks: [back], environment: [OTHER]}
networks: {back: }
secrets: {pw: {file: ./pw.txt}}
"""


def test_an_included_stack_has_its_own_directory_and_variables() -> None:
    stack = load_files({
        "stack.yaml": """\
            include: [db/compose.yaml, {path: [mail/a.yaml, mail/b.yaml], project_directory: ., env_file: mail.env}]
            services: {web: {image: x, depends_on: [db, mail], volumes: ["./w:/w"]}}
            """,
        ".env": "OTHER=outer\n",
        "db/compose.yaml": DATABASE,
        "db/.env": "VERSION=17\nOTHER=inner\n",
        "db/own.env": "A=1\nVERSION\n",
        "db/pw.txt": "secret",
        "mail/a.yaml": "services: {mail: {image: 'm:${MAIL}-${OTHER}', volumes: ['./m:/m']}}\n",
        "mail/b.yaml": "services: {mail: {user: u}}\n",
        "mail.env": "MAIL=3\n",
    })  # fmt: skip
    assert stack.name == "project"
    assert sorted(stack.services) == ["db", "mail", "web"]
    db, mail = stack.services["db"], stack.services["mail"]
    assert (db.image, db.environment) == ("db:17", {"A": "1", "VERSION": "17", "OTHER": "outer"})
    assert db.mounts == (Mount(type="bind", source="/project/db/init", target="/init"),)
    assert stack.secrets["pw"].content == ("secret",)
    assert (mail.image, mail.user, mail.mounts[0].source) == ("m:3-outer", "u", "/project/m")
    assert stack.networks["back"].full_name == "project_back"


def test_included_stacks_include() -> None:
    stack = load_files({
        "stack.yaml": "include: [a/stack.yaml]\nservices: {web: {image: x}}\n",
        "a/stack.yaml": "include: [b/stack.yaml]\nservices: {a: {image: x}}\n",
        "a/b/stack.yaml": "services: {b: {image: x, volumes: ['./v:/v']}}\nimages: {i: {from: scratch}}\n",
    })  # fmt: skip
    assert sorted(stack.services) == ["a", "b", "web"]
    assert stack.services["b"].mounts[0].source == "/project/a/b/v"
    assert list(stack.images) == ["i"]


def test_what_both_define_must_be_the_same() -> None:
    files = {"stack.yaml": "include: [a.yaml]\nservices:\n  a: {image: x}\n", "a.yaml": "services: {a: {image: x}}\n"}
    assert list(load_files(files).services) == ["a"]
    files["a.yaml"] = "services: {a: {image: y}}\n"
    assert errors_of_files(files) == [("name-collision", "stack.yaml", 3, 3)]


def test_an_override_goes_over_what_was_included() -> None:
    files = {
        "stack.yaml": "include: [a.yaml]\n",
        "stack.override.yaml": "services: {a: {user: u}}\n",
        "a.yaml": "services: {a: {image: y}}\n",
    }
    assert load_files(files).services["a"].user == "u"


def test_mistakes() -> None:
    assert errors_of("include: x\n") == [("bad-type", "stack.yaml", 1, 10)]
    assert errors_of("include: [{pth: x}]\n") == [("unknown-key", "stack.yaml", 1, 12)]
    assert errors_of("include: [{}, [], no.yaml]\n") == [
        ("missing-key", "stack.yaml", 1, 11), ("bad-type", "stack.yaml", 1, 15),
        ("file-not-found", "stack.yaml", 1, 19),
    ]  # fmt: skip
    files = {"stack.yaml": "include: [a.yaml]\n", "a.yaml": "include: [stack.yaml]\n"}
    assert errors_of_files(files) == [("include-cycle", "a.yaml", 1, 11)]


def test_mistakes_of_all_files_are_reported() -> None:
    files = {
        "stack.yaml": "include: [a.yaml, b.yaml]\nservices:\n  web: {image: x, usr: y}\n",
        "a.yaml": "services: {a: {image: x, prots: []}}\n",
        "b.yaml": "services: {b: [\n",
    }
    found = errors_of_files(files)
    assert [entry[:2] for entry in found] == [
        ("unknown-key", "a.yaml"),
        ("yaml-syntax", "b.yaml"),
        ("unknown-key", "stack.yaml"),
    ]


def test_what_recipes_of_an_included_file_copy_lies_where_it_lies() -> None:
    image = "from: scratch, steps: [{copy: {source: [./a, b/], target: /}}, {copy: {source: /x, from: j, target: /}}]"
    files = {
        "stack.yaml": "include: [part/stack.yaml]\nimages: {h: {from: i, steps: [{copy: {source: ./a, target: /}}]}}",
        "part/stack.yaml": f"images: {{i: {{{image}}}, j: {{from: scratch}}}}",
    }
    images = load_files(files).images
    assert [step.source for step in images["i"].steps] == [("part/a", "part/b/"), ("/x",)]
    assert images["h"].steps[0].source == ("./a",)
