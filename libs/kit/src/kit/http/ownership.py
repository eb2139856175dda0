"""Whose opportunities a caller sees: the one predicate of all services, as a check of one object and as a condition of
a query.

A caller with the scope `opportunities:read-any` sees all of the tenant, every other caller their own: those whose owner
in the CRM they are. An opportunity whose owner is not known is nobody's own. What a caller does not see is answered as
if it did not exist.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, true

from kit.http.auth import Principal
from kit.http.problems import NotFoundProblem

READ_ANY = "opportunities:read-any"


@dataclass(frozen=True, slots=True)
class Owners:
    """The owners whose opportunities a caller sees: one person, or None for all."""

    person_id: str | None

    @classmethod
    def seen_by(cls, caller: Principal) -> "Owners":
        """The owners whose opportunities this caller sees."""
        return cls(None if caller.may(READ_ANY) else caller.person_id)

    @property
    def are_all(self) -> bool:
        """Whether every opportunity of the tenant is seen."""
        return self.person_id is None

    def include(self, owner_id: str | None) -> bool:
        """Whether an opportunity of this owner is seen; None for an owner that is not known."""
        return self.are_all or owner_id == self.person_id

    def demand(self, owner_id: str | None, absent: NotFoundProblem) -> None:
        """Raise the problem that says it does not exist, unless it is seen. Only the log tells the difference."""
        if not self.include(owner_id):
            absent.refused = "not_owner"
            raise absent

    def condition(self, owner_id: ColumnElement[str] | ColumnElement[str | None]) -> ColumnElement[bool]:
        """The rows of a query that are seen, by their column of the owner."""
        return true() if self.are_all else owner_id == self.person_id
