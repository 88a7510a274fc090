from stackfile.daemon.frames import frame


def test_header_is_stream_and_big_endian_length() -> None:
    assert frame(2, b"abc") == b"\x02\0\0\0\0\0\0\x03abc"
    assert frame(1, b"x" * 300)[:8] == b"\x01\0\0\0\0\0\x01\x2c"
