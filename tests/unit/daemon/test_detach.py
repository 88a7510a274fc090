import pytest

from stackfile.daemon.detach import Detector, parse_keys
from stackfile.errors import ActionError


@pytest.mark.parametrize(
    ("text", "keys"), [("", b"\x10\x11"), ("ctrl-a,d", b"\x01d"), ("ctrl-@", b"\0"), ("ctrl-\\", b"\x1c")]
)
def test_keys(text: str, keys: bytes) -> None:
    assert parse_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ab", "ctrl-p,", "é"])
def test_bad_keys(text: str) -> None:
    with pytest.raises(ActionError) as caught:
        parse_keys(text)
    assert caught.value.reason == "bad-request"


def test_the_sequence_is_found_over_several_reads_and_not_passed_on() -> None:
    detector = Detector(b"\x10\x11")
    assert detector.feed(b"ls\n\x10") == b"ls\n"
    assert not detector.found
    assert detector.feed(b"\x11rest") == b""
    assert detector.found


def test_what_only_begins_like_it_is_passed_on_late() -> None:
    detector = Detector(b"\x10\x11")
    assert detector.feed(b"\x10") == b""
    assert detector.feed(b"a") == b"\x10a"
    assert detector.feed(b"\x10\x10") == b"\x10"
    assert not detector.found
