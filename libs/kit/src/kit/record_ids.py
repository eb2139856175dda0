"""Ids of Salesforce records. One record has two: 15 characters, in which capital letters matter, and the same with
three more, in which they do not. Here only the longer counts, as the API gives it."""

import re

_SHORT = re.compile(r"0[01][0-9A-Za-z]{13}")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def full_record_id(text: str) -> str:
    """The 18 characters of a record's id; anything else, such as an id of another system, stays as it is."""
    if not _SHORT.fullmatch(text):
        return text
    blocks = (text[start : start + 5] for start in (0, 5, 10))
    return text + "".join(_LETTERS[sum(c.isupper() << place for place, c in enumerate(block))] for block in blocks)
