import pytest

from stackfile.daemon.dockerjson import filters
from stackfile.errors import ActionError


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("", {}),
        ("null", {}),
        ("{}", {}),
        ('{"label":{"a=b":true,"c":false}}', {"label": ("a=b",)}),
        ('{"label":["a=b","c"]}', {"label": ("a=b", "c")}),
        ('{"dangling":[true]}', {"dangling": ("true",)}),
        ('{"exited":[0]}', {"exited": ("0",)}),
    ],
)
def test_both_forms(text: str, parsed: filters.Filters) -> None:
    assert filters.parse(text) == parsed


@pytest.mark.parametrize("text", ["{", "[]", '"x"', '{"label":"x"}', '{"label":[{}]}'])
def test_other_forms_are_bad_requests(text: str) -> None:
    with pytest.raises(ActionError) as caught:
        filters.parse(text)
    assert caught.value.reason == "bad-request"


def test_any_value_passes_but_all_labels_must() -> None:
    things = [{"a": "1"}, {"a": "1", "b": "2"}]
    tests: dict[str, filters.Test[dict[str, str]]] = {
        "label": filters.has_label,
        "size": lambda thing, value: len(thing) == int(value),
    }
    assert filters.select(things, {"label": ("a", "b=2")}, tests, every=("label",)) == things[1:]
    assert filters.select(things, {"size": ("1", "2")}, tests) == things
    assert filters.select(things, {"size": ("1",), "label": ("b",)}, tests) == []


def test_an_unknown_filter_is_refused_even_when_nothing_is_there() -> None:
    with pytest.raises(ActionError) as caught:
        filters.select([], {"colour": ("red",)}, {})
    assert caught.value.reason == "bad-request"
