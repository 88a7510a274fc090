"""Plain scalars against what Compose v5 makes of them."""

from __future__ import annotations

import pytest

from stackfile.language.scalars import resolve, text_of


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("22:22", "22:22"), ("1:2:3", "1:2:3"), ("yes", "yes"), ("off", "off"), ("y", "y"), ("=", "="), (".", "."),
        ("", None), ("~", None), ("null", None), ("NULL", None), ("true", True), ("FALSE", False), ("tRue", "tRue"),
        ("0o10", 8), ("010", 8), ("00", 0), ("0x1F", 31), ("0X1f", 31), ("0b11", 3), ("-0o7", -7), ("+1", 1),
        ("1_000", 1000), ("1__0", 10), ("0_1", 1), ("_1", "_1"), ("0o8", "0o8"), ("0b", "0b"), ("0x", "0x"),
        ("1e3", 1000.0), ("1.5e+3", 1500.0), (".5", 0.5), ("+.5", 0.5), ("1.", 1.0), ("089", 89.0), ("1e", "1e"),
        ("0x1p-2", "0x1p-2"), ("18446744073709551615", 18446744073709551615), ("99999999999999999999", 1e20),
        ("2020-01-01", "2020-01-01 00:00:00 +0000 UTC"), ("2020-13-01", "2020-13-01"),
        ("2001-12-14t21:59:43.10-05:00", "2001-12-14 21:59:43.1 -0500 -0500"),
        ("2020-1-1", "2020-01-01 00:00:00 +0000 UTC"),
    ],
)  # fmt: skip
def test_plain_scalars_resolve_as_compose_resolves_them(written: str, value: object) -> None:
    assert resolve(written) == value
    assert type(resolve(written)) is type(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"), (False, "false"), (None, ""), (5, "5"), (1000.0, "1000"), (1.1, "1.1"), (1e30, "1e+30"),
        (1e-5, "1e-05"), (0.0001, "0.0001"), (100000000.5, "1.000000005e+08"), (12345678.0, "1.2345678e+07"),
        (123456.5, "123456.5"), (100000.0, "100000"), (1e6, "1e+06"), (-1.0, "-1"), (10.5, "10.5"), (0.0, "0"),
        (1.2345678901234568e29, "1.2345678901234568e+29"), (0.1e-7, "1e-08"), (float("inf"), "+Inf"),
    ],
)  # fmt: skip
def test_numbers_print_as_go_prints_them(value: object, text: str) -> None:
    assert text_of(value) == text  # type: ignore[arg-type]
