"""Who sees which names."""

from __future__ import annotations

import pytest
from dnslib import RCODE, DNSRecord

from stackfile.resolver import names
from stackfile.resolver.answers import View
from stackfile.resolver.table import Scope, Table, Zone

TABLE = Table(
    zones={
        "front": Zone(
            name="shop_front",
            names={"web": ("10.0.0.2", "10.0.0.3", "fd00::2"), "db": ("10.0.0.4",)},
            reverse={"10.0.0.2": "shop-web-1", "fd00::2": "shop-web-1"},
        ),
        "back": Zone(name="shop_back", names={"db": ("10.1.0.4",)}),
        "word": Zone(name="example", names={"db": ("10.2.0.4",)}),
    }
)
FRONT = Scope(networks=("front",), hosts={"extra": ("192.0.2.1",)})
BOTH = Scope(networks=("back", "front"))


@pytest.mark.parametrize(
    ("scope", "name", "found"),
    [
        (FRONT, "db", ("10.0.0.4",)),
        (BOTH, "db", ("10.1.0.4",)),
        (BOTH, "db.shop_front", ("10.0.0.4",)),
        (FRONT, "tasks.db", ("10.0.0.4",)),
        (FRONT, "tasks.db.shop_front", ("10.0.0.4",)),
        (FRONT, "extra", ("192.0.2.1",)),
        (BOTH, "extra", None),
        (FRONT, "db.shop_back", None),
        (FRONT, "nobody", None),
        (FRONT, "nobody.shop_front", ()),
        (FRONT, "www.example.com", None),
        (Scope(networks=("word",)), "www.example", None),
        (Scope(networks=("gone",)), "db", None),
    ],
)
def test_addresses(scope: Scope, name: str, found: tuple[str, ...] | None) -> None:
    assert names.addresses(TABLE, scope, name) == found


@pytest.mark.parametrize(
    ("name", "pointer"),
    [
        ("2.0.0.10.in-addr.arpa", "shop-web-1.shop_front"),
        ("2." + "0." * 27 + "0.0.d.f.ip6.arpa", "shop-web-1.shop_front"),
        ("9.0.0.10.in-addr.arpa", ""),
        ("nonsense.in-addr.arpa", ""),
        ("zz.ip6.arpa", ""),
        ("web", ""),
    ],
)
def test_pointer(name: str, pointer: str) -> None:
    assert names.pointer(TABLE, FRONT, name) == pointer


def ask(view: View, name: str, kind: str = "A") -> tuple[str, list[str]] | None:
    answer = view.answer(bytes(DNSRecord.question(name, kind).pack()))
    if answer is None:
        return None
    record = DNSRecord.parse(answer)
    return RCODE[record.header.rcode], [str(row.rdata) for row in record.rr]


def test_view_answers_by_family_and_in_rotation() -> None:
    view = View(TABLE, FRONT)
    assert ask(view, "web") == ("NOERROR", ["10.0.0.2", "10.0.0.3"])
    assert ask(view, "web") == ("NOERROR", ["10.0.0.3", "10.0.0.2"])
    assert ask(view, "web") == ("NOERROR", ["10.0.0.2", "10.0.0.3"])
    assert ask(view, "web", "AAAA") == ("NOERROR", ["fd00::2"])
    assert ask(view, "db", "AAAA") == ("NOERROR", [])
    assert ask(view, "web", "SRV") == ("NOERROR", [])
    assert ask(view, "nobody.shop_front") == ("NXDOMAIN", [])


def test_view_leaves_other_names_to_others() -> None:
    view = View(TABLE, FRONT)
    assert ask(view, "www.example.com") is None
    assert ask(view, "9.0.0.10.in-addr.arpa", "PTR") is None


def test_datagram_has_what_fits_and_stream_has_all() -> None:
    many = Table(zones={"n": Zone(names={"web": tuple(f"10.0.0.{number}" for number in range(1, 101))})})
    view = View(many, Scope(networks=("n",)))
    query = bytes(DNSRecord.question("web").pack())
    datagram, stream = view.answer(query), view.answer_in_full(query)
    assert datagram is not None
    assert stream is not None
    assert len(datagram) <= 512
    assert len(DNSRecord.parse(stream).rr) == 100


def test_table_is_read_back_and_changed() -> None:
    table = Table.from_plain(Table(zones=TABLE.zones, scopes={"one": FRONT}).to_plain())
    assert table.zones == TABLE.zones
    assert table.scopes == {"one": FRONT}
    changed = table.changed({"back": None, "front": {"names": {"WEB": ["10.9.0.2"]}}}, {"one": None, "two": {}})
    assert set(changed.zones) == {"front", "word"}
    assert changed.zones["front"].names == {"web": ("10.9.0.2",)}
    assert changed.scopes == {"two": Scope()}
    assert set(table.zones) == {"front", "back", "word"}
