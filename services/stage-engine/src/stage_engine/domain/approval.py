"""Approvals as a pipeline declares them: who has to agree before a subject moves."""

from dataclasses import dataclass

# Roles that tokens name and that may be asked.
ROLES = ("rep", "manager", "admin")


@dataclass(frozen=True, slots=True)
class Approvers:
    """Who may decide: people of these roles who see the subject, these people, all who report to those of `teams`, and
    those the owner reports to, directly or through others."""

    roles: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    manager_of_owner: bool = False

    @property
    def are_named(self) -> bool:
        """Whether it is known how many they are: only people are named."""
        return bool(self.people) and not (self.roles or self.teams or self.manager_of_owner)

    def __bool__(self) -> bool:
        return bool(self.roles or self.people or self.teams or self.manager_of_owner)

    def __str__(self) -> str:
        words = [f"role {role}" for role in self.roles]
        words += [f"person {person}" for person in self.people]
        words += [f"team of {person}" for person in self.teams]
        return " or ".join([*words, *(["a manager of the owner"] if self.manager_of_owner else [])])


@dataclass(frozen=True, slots=True)
class Approval:
    """How many of them have to agree before a move is made. `own` lets the person who asks be one of them. What is not
    decided in time is over."""

    approvers: Approvers
    needed: int = 1
    own: bool = False
    expires_after: str = "72h"

    def __str__(self) -> str:
        own = ", the one who asks included" if self.own else ""
        return f"{self.needed} of {self.approvers}{own}, within {self.expires_after}"
