from __future__ import annotations

import pytest

from stackfile.errors import ErrorCollector, Place, StackError
from stackfile.language.document import Interpolator
from stackfile.language.interpolate import MAX_NESTING, interpolate, mentions
from stackfile.language.nodes import Mapping, Node, Scalar
from stackfile.language.source import parse
from stackfile.language.tracked import Tracker
from stackfile.language.variables import Variables
from tests.unit.language.memory import errors_of, load_text

PLACE = Place("f", 1, 1)


class Lookup(dict[str, str]):
    def missing(self, name: str, place: Place) -> None:
        self.setdefault("missing", "")


VARIABLES = Lookup(SET="value", EMPTY="", DOLLAR="a$b", BRACE="{{ x }}")


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"), ("$SET", "value"), ("${SET}", "value"), ("a${SET}b", "avalueb"), ("$SET.x", "value.x"),
        ("$$SET", "$SET"), ("$$$SET", "$value"), ("$${SET}", "${SET}"), ("${UNSET}", ""), ("x${EMPTY}y", "xy"),
        ("${UNSET:-d}", "d"), ("${EMPTY:-d}", "d"), ("${SET:-d}", "value"),
        ("${UNSET-d}", "d"), ("${EMPTY-d}", ""), ("${SET-d}", "value"),
        ("${UNSET:+a}", ""), ("${EMPTY:+a}", ""), ("${SET:+a}", "a"),
        ("${UNSET+a}", ""), ("${EMPTY+a}", "a"), ("${SET+a}", "a"),
        ("${SET:?e}", "value"), ("${EMPTY?e}", ""), ("${SET?e}", "value"),
        ("${UNSET:-${SET}}", "value"), ("${UNSET:-${ALSO:-deep}}", "deep"), ("${UNSET:-a}b}", "ab}"),
        ("${SET:-${1}}", "value"), ("${SET:-{b}}", "value"),
        ("${UNSET:-}", ""), ("${UNSET:-$$}", "$"), ("${SET:+${SET}-x}", "value-x"),
        ("${SET:-${UNSET:?never}}", "value"), ("${UNSET:-:-}", ":-"),
        ("$", "$"), ("a $ b", "a $ b"), ("$1", "$1"), ("$DOLLAR", "a$b"), ("$BRACE", "{{ x }}"),
    ],
)  # fmt: skip
def test_forms(text: str, result: str) -> None:
    assert interpolate(text, VARIABLES, PLACE) == result


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("${UNSET:?gone}", "variable-required"), ("${EMPTY:?gone}", "variable-required"),
        ("${UNSET?gone}", "variable-required"),
        ("${UNSET:-a\nb}", "interpolation-syntax"), ("${", "interpolation-syntax"), ("${SET", "interpolation-syntax"),
        ("${SET:-x", "interpolation-syntax"), ("${}", "interpolation-syntax"), ("${1}", "interpolation-syntax"),
        ("${SET!}", "interpolation-syntax"), ("${a-" * 100 + "}" * 100, "interpolation-syntax"),
    ],
)  # fmt: skip
def test_mistakes(text: str, reason: str) -> None:
    with pytest.raises(StackError) as caught:
        interpolate(text, VARIABLES, PLACE)
    assert caught.value.reason == reason
    assert caught.value.at == PLACE


def test_the_message_of_a_required_variable_is_the_cause() -> None:
    with pytest.raises(StackError) as caught:
        interpolate("${UNSET:?set it to ${SET}}", VARIABLES, PLACE)
    assert caught.value.cause == "set it to value"


def test_mistakes_of_a_file_are_all_reported() -> None:
    text = "services:\n  a: {image: '${X:?x}', user: '${Y', labels: {p: 'a ${'}}\n"
    assert errors_of(text) == [
        ("variable-required", "stack.yaml", 2, 14),
        ("interpolation-syntax", "stack.yaml", 2, 31),
        ("interpolation-syntax", "stack.yaml", 2, 50),
    ]


def test_an_unset_variable_is_a_warning() -> None:
    warnings: list[object] = []
    load_text("services: {a: {image: 'x$NOPE'}}", warnings=warnings)
    assert len(warnings) == 1


def test_values_of_variables_are_typed_by_what_reads_them() -> None:
    stack = load_text("services: {a: {image: x, scale: $N, tty: $T}}", environ={"N": "2", "T": "true"})
    assert (stack.services["a"].replicas, stack.services["a"].tty) == (2, True)


def test_where_a_variable_came_from() -> None:
    stack = load_text("services: {a: {image: '$I'}}", environ={"I": "x"})
    assert [step.name for step in stack.origins["service.a/image"].via] == ["env.I"]


def test_trees_done_one_after_the_other_are_not_mixed_up() -> None:
    """A tree that was done is gone; what is remembered of it must not be taken for the next one's."""
    tracker, errors = Tracker(), ErrorCollector()
    interpolator = Interpolator(Variables({"N": "n"}, {}, tracker), tracker, errors)
    for number in range(200):
        tree = parse(
            f"services: {{s: {{image: 'i{number}', user: '${{N}}'}}}}".encode(), "f.yaml", errors, templates=False
        )
        assert isinstance(tree, Mapping)
        found: Node = interpolator.document(tree)
        for key in ("services", "s"):
            assert isinstance(found, Mapping)
            found = found.entries[key]
        assert isinstance(found, Mapping)
        image = found.entries["image"]
        assert isinstance(image, Scalar)
        assert image.value == f"i{number}"
        del tree, found, image


def test_mentions() -> None:
    text = "$A $$B ${C} ${D:-x${E?y}} ${F+z} $ ${G"
    assert list(mentions(text)) == [
        ("A", "", ""), ("C", "", ""), ("D", "-", "x${E?y}"), ("E", "?", "y"), ("F", "+", "z"), ("G", "", ""),
    ]  # fmt: skip
    assert len(list(mentions("${A:-" * 2000 + "}" * 2000))) <= MAX_NESTING + 1
