"""Optimistic concurrency over HTTP: an entity tag is the resource's revision."""

import re
from typing import Annotated

from fastapi import Depends, Header

from kit.http.problems import FieldError, InvalidProblem, PreconditionFailedProblem, PreconditionRequiredProblem

_TAG = re.compile(r'(?:W/)?(?P<quote>"?)(?P<revision>[0-9]{1,18})(?P=quote)')


def etag(revision: int) -> str:
    """The strong entity tag of a revision."""
    return f'"{revision}"'


async def _if_match(
    if_match: Annotated[str | None, Header(description="the ETag that was read", examples=['"3"'])] = None,
) -> int:
    if if_match is None:
        raise PreconditionRequiredProblem(
            "Read the resource and send its ETag as If-Match.",
            errors=[FieldError("/header/if-match", "missing", "If-Match is required.")],
        )
    # A proxy that compresses weakens the tag on its way; the revision in it stays the same.
    found = _TAG.fullmatch(if_match.strip())
    if found is None:
        detail = 'Send one ETag as it was read, such as "3". Lists and * are not accepted, nor other tags.'
        raise InvalidProblem(
            detail, code="unreadable_etag", errors=[FieldError("/header/if-match", "unreadable_etag", detail)]
        )
    return int(found["revision"])


IfMatch = Annotated[int, Depends(_if_match)]


def check_revision(expected: int, actual: int) -> None:
    """PreconditionFailedProblem unless the resource still is at the expected revision."""
    if expected != actual:
        raise PreconditionFailedProblem(
            f"The resource is at revision {actual}, not {expected}. Read it again.",
            errors=[FieldError("/header/if-match", "stale", "The resource has changed.")],
            headers={"ETag": etag(actual)},
        )
