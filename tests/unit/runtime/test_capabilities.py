from __future__ import annotations

import pytest

from stackfile.errors import ActionError
from stackfile.runtime.capabilities import DEFAULT, effective, mask, names

ALL = (1 << 41) - 1


def result(add: tuple[str, ...] = (), drop: tuple[str, ...] = (), **rest: object) -> set[str]:
    options = {"privileged": False, "available": ALL, **rest}
    return {name.removeprefix("CAP_") for name in names(effective(add, drop, **options))}  # type: ignore[arg-type]


def test_default_is_dockers() -> None:
    assert effective((), (), privileged=False, available=ALL) == 0xA80425FB
    assert len(DEFAULT) == 14


@pytest.mark.parametrize("name", ["NET_ADMIN", "CAP_NET_ADMIN", "cap_net_admin"])
def test_names_in_every_spelling(name: str) -> None:
    assert mask([name]) == 1 << 12


def test_add_and_drop() -> None:
    assert result(("NET_ADMIN",), ("CHOWN",)) == {*DEFAULT, "NET_ADMIN"} - {"CHOWN"}
    assert result(("NET_ADMIN",), ("ALL",)) == {"NET_ADMIN"}
    assert result(drop=("ALL",)) == set()
    assert "SYS_ADMIN" in result(("ALL",))
    assert "CHOWN" not in result(("all",), ("CHOWN",))


def test_privileged_and_what_the_machine_has() -> None:
    assert effective((), ("ALL",), privileged=True, available=ALL) == ALL
    assert effective(("SYS_ADMIN",), (), privileged=False, available=mask(["CHOWN"])) == mask(["CHOWN"])


def test_unknown_name() -> None:
    with pytest.raises(ActionError) as caught:
        mask(["FLY"])
    assert caught.value.reason == "bad-request"
