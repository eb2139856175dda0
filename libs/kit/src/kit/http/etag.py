"""Optimistic concurrency over HTTP: an entity tag is the resource's revision."""

from typing import Annotated

from fastapi import Depends, Header

from kit.http.problems import FieldError, PreconditionFailedProblem, PreconditionRequiredProblem


def etag(revision: int) -> str:
    """The strong entity tag of a revision."""
    return f'"{revision}"'


async def _if_match(
    if_match: Annotated[str | None, Header(description="the ETag that was read", examples=['"3"'])] = None,
) -> int:
    if if_match is None:
        raise PreconditionRequiredProblem(
            "read the resource and send its ETag as If-Match",
            errors=[FieldError("/header/if-match", "missing", "If-Match is required")],
        )
    digits = if_match.strip().removeprefix('"').removesuffix('"')
    if not (digits.isascii() and digits.isdigit() and len(digits) < 19):
        raise PreconditionFailedProblem(
            "If-Match is no ETag of this resource",
            errors=[FieldError("/header/if-match", "unknown_etag", "send the ETag as it was read")],
        )
    return int(digits)


IfMatch = Annotated[int, Depends(_if_match)]


def check_revision(expected: int, actual: int) -> None:
    """PreconditionFailedProblem unless the resource still is at the expected revision."""
    if expected != actual:
        raise PreconditionFailedProblem(
            f"the resource is at revision {actual}, not {expected}: read it again",
            errors=[FieldError("/header/if-match", "stale", "the resource has changed")],
            headers={"ETag": etag(actual)},
        )
