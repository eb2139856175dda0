"""Text that cannot be stored."""

import pytest
from kit.http.bodies import _BAD_TEXT


@pytest.mark.parametrize("bad", [rb"\u0000", rb"\\\u0000", rb"\ud800", rb"\uDFFF", rb"\ud800x"])
def test_text_that_cannot_be_stored_is_found(bad):
    assert _BAD_TEXT.search(b'{"a": "' + bad + b'"}')


@pytest.mark.parametrize("good", [rb"\\u0000", rb"\ud83d\ude00", rb"\u00e9", b"\xf0\x9f\x98\x80"])
def test_text_that_can_be_stored_passes(good):
    assert not _BAD_TEXT.search(b'{"a": "' + good + b'"}')
