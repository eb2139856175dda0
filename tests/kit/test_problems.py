"""JSON pointers."""

from kit.http.problems import pointer


def test_pointers_escape_what_json_pointers_must():
    assert pointer("body", "a/b", "m~n", 0) == "/body/a~1b/m~0n/0"
