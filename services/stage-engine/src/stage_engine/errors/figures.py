"""Refusals about figures."""

from collections.abc import Sequence

from kit.http.problems import FieldError, InvalidProblem, NotFoundProblem


class FigureNotFound(NotFoundProblem):
    code = "figure_not_found"

    def __init__(self, key: str, known: Sequence[str]) -> None:
        super().__init__(f"There is no figure {key!r}. There are {', '.join(known)}.")


class PersonNotFound(NotFoundProblem):
    code = "person_not_found"

    def __init__(self, person_id: str) -> None:
        super().__init__(f"There is no person {person_id!r} whose opportunities you see.")


class GroupUnknown(InvalidProblem):
    code = "group_unknown"

    def __init__(self, key: str, group: str, known: Sequence[str]) -> None:
        detail = f"{key} cannot be cut by {group}. Cut it by {', '.join(known)}."
        super().__init__(detail, errors=[FieldError("/query/group_by", self.code, detail)])


class GroupByMissing(InvalidProblem):
    code = "group_by_missing"

    def __init__(self) -> None:
        detail = "A group is one of several: say by group_by what the figure is cut by."
        super().__init__(detail, errors=[FieldError("/query/group_by", self.code, detail)])


class PeriodEmpty(InvalidProblem):
    code = "period_empty"

    def __init__(self, begins: str = "from", ends: str = "to") -> None:
        detail = f"The period is empty: let `{ends}` be later than `{begins}`."
        super().__init__(detail, errors=[FieldError(f"/query/{ends}", self.code, detail)])
