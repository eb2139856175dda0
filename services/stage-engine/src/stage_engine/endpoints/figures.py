"""Figures over HTTP, one uniform way for all of them; as CSV too."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from fastapi import Depends, Path, Query, Request, Response
from kit.http.auth import Caller, requires
from kit.http.ownership import Owners
from kit.http.pagination import Page, Paging
from kit.http.web import Uow, router
from pydantic import BaseModel

from stage_engine.domain.figures.catalogue import FIGURES, LEFT_OUT, Figure
from stage_engine.domain.figures.kinds import Group
from stage_engine.domain.pipeline import OPPORTUNITY
from stage_engine.errors.figures import GroupByMissing
from stage_engine.repository.figures.counting import Case
from stage_engine.schemas import figures as schemas
from stage_engine.schemas.moments import Moment
from stage_engine.service.figures import Counted, Figures, Question

router = router("figures")

_CSV = "text/csv"
_SIGNS, _LINES = frozenset("=+-@\uff1d\uff0b\uff0d\uff20"), frozenset("\t\r\n")
AS_TABLE = {"content": {_CSV: {"schema": {"type": "string"}}}}
_FILTERS = ["object_type", "pipeline", "person", "team", "segment"]
Word = Annotated[str | None, Query(max_length=140)]
From = Annotated[Moment | None, Query(alias="from", description="a year before `to` when left out; of days that are"
                                      " due, the current month")]  # fmt: skip
To = Annotated[Moment | None, Query(alias="to", description="before here; now when left out")]
FigureKey = Annotated[str, Path(max_length=64, examples=["win_rate"])]
GroupBy = Annotated[Group | None, Query(description="a row for each; one for all when left out")]
Format = Annotated[Literal["json", "csv"] | None, Query(description="the header Accept says so too")]


def counted_owners(caller: Caller) -> Owners:
    """Whose opportunities are counted. Operators, who read no opportunity, see the totals of all."""
    if caller.may("opportunities:read"):
        return Owners.seen_by(caller)
    caller.demand("analytics:read")
    return Owners(None)


def asked(
    object_type: Annotated[str, Query(max_length=64, examples=["lead"])] = OPPORTUNITY,
    since: From = None,
    until: To = None,
    horizon_days: Annotated[int, Query(ge=1, le=3650, description="time that a case has to come true")] = 90,
    pipeline: Word = None,
    person: Annotated[str | None, Query(max_length=140, description="whose it was at that time")] = None,
    team: Annotated[str | None, Query(max_length=140, description="of those who reported to this person")] = None,
    segment: Word = None,
) -> Question:
    return Question(object_type, since, until, horizon_days, pipeline, person, team, segment)


def as_table(request: Request, format: Format = None) -> bool:
    """Whether the reply is to be a table."""
    return format == "csv" or (format is None and _CSV in request.headers.get("accept", ""))


Counting = Annotated[Owners, Depends(counted_owners)]
Asked = Annotated[Question, Depends(asked)]
AsTable = Annotated[bool, Depends(as_table)]


@router.get("/figures")
async def list_figures(_: Counting) -> schemas.FigureList:
    """All figures with their formulas, what they count and what they leave out, and those that cannot be given."""
    return schemas.FigureList(
        figures=[_summary(figure) for figure in FIGURES],
        left_out=[schemas.LeftOut(key=key, reason=reason) for key, reason in LEFT_OUT.items()],
    )


@router.get("/figures/{figure_key}", responses={200: {"model": schemas.FigureOut} | AS_TABLE}, response_model=None)
async def get_figure(
    figure_key: FigureKey, uow: Uow, owners: Counting, asked: Asked, in_table: AsTable, group_by: GroupBy = None
) -> Response | schemas.FigureOut:  # fmt: skip
    """A figure of a period by group, of what the caller sees: a rep their own, a manager the team's. Person and team
    are those of the time that is counted."""
    found = await Figures(uow, owners).count(figure_key, asked, group_by)
    shown = _shown(found, asked, group_by)
    return table(schemas.FigureRow, shown.rows, figure_key) if in_table else shown


@router.get("/figures/{figure_key}/records", dependencies=[requires("opportunities:read")], response_model=None,
            responses={200: {"model": Page[schemas.CaseOut]} | AS_TABLE})  # fmt: skip
async def list_figure_records(
    figure_key: FigureKey, uow: Uow, caller: Caller, asked: Asked, paging: Paging, in_table: AsTable,
    group_by: GroupBy = None, group: Word = None,
) -> Response | Page[schemas.CaseOut]:  # fmt: skip
    """The cases behind a figure, or behind its row `group` of `group_by`: counted, too young, left out. Opportunities
    that have gone to an owner whom the caller does not see still count for the one before, and are not listed."""
    seen = Owners.seen_by(caller)
    if group is not None and group_by is None:
        raise GroupByMissing
    place = None if group_by is None or group is None else (group_by, group)
    after = paging.after(str, int, str)
    found = await Figures(uow, seen).cases(figure_key, asked, place, after, paging.limit + 1, seen)
    page = paging.page(found, lambda each: [each.opportunity_id, each.number, each.part], _case)
    return table(schemas.CaseOut, page.items, figure_key, page.next_cursor) if in_table else page


def table(kind: type[BaseModel], rows: Sequence[BaseModel], name: str, cursor: str | None = None) -> Response:
    """Rows as CSV with their names in front. What a spreadsheet would take for a formula is made a text."""
    text = io.StringIO()
    writer = csv.writer(text)
    names = list(kind.model_fields)
    writer.writerow(names)
    writer.writerows(_cells(row.model_dump(mode="json"), names) for row in rows)
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    if cursor is not None:
        headers["Next-Cursor"] = cursor
    return Response(text.getvalue(), media_type=_CSV, headers=headers)


def _cells(row: dict[str, object], names: Iterable[str]) -> list[str]:
    return [safe_cell(row[name]) for name in names]


def safe_cell(value: object) -> str:
    """A value as a cell: none is empty, and a text that begins as a formula does gets an apostrophe, also where blanks
    or wide signs come first, which some programs take for nothing or for the others."""
    text = "" if value is None else str(value)
    is_number = text.lstrip("-").replace(".", "", 1).isdigit()
    begins = text[:1] in _LINES or text.lstrip()[:1] in _SIGNS
    return f"'{text}" if begins and not is_number else text


def _summary(figure: Figure) -> schemas.FigureSummary:
    return schemas.FigureSummary(
        key=figure.key,
        title=figure.title,
        formula=figure.formula,
        unit=figure.unit,
        period=figure.period,
        censored=figure.censored,
        excluded=figure.excluded,
        group_by=sorted(figure.groups),
        filters=_FILTERS,
        has_horizon=figure.has_horizon,
        in_currency=figure.in_currency,
    )


def _shown(found: Counted, asked: Question, group: Group | None) -> schemas.FigureOut:
    return schemas.FigureOut(
        key=found.figure.key,
        title=found.figure.title,
        formula=found.figure.formula,
        unit=found.figure.unit,
        since=found.since,
        until=found.until,
        as_of=found.as_of,
        horizon_days=asked.horizon_days,
        group_by=group,
        rows=[schemas.FigureRow.model_validate(row, from_attributes=True) for row in found.rows],
        has_more=found.has_more,
    )


def _case(case: Case) -> schemas.CaseOut:
    return schemas.CaseOut.model_validate(case, from_attributes=True)
