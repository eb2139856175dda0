"""The one shape of what a figure counts: a sample is a case with what it adds, or why it is not counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from kit.http.ownership import Owners
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Numeric,
    Select,
    Text,
    and_,
    case,
    cast,
    func,
    literal,
    select,
)
from sqlalchemy.sql.selectable import NamedFromClause

from stage_engine.models.figures import visit
from stage_engine.models.opportunities import opportunity

COUNTED, CENSORED, EXCLUDED = "counted", "censored", "excluded"
Column = ColumnElement[Any]


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked: of whom, when, and which. `since` and `until` bound what the figure says they bound; cases are
    judged as of `now`, `horizon` after they began. `stages` are the open and won ones of the newest pipelines with
    their places."""

    owners: Owners
    object_type: str
    since: datetime
    until: datetime
    now: datetime
    horizon: timedelta
    pipeline: str | None = None
    person: str | None = None
    team: str | None = None
    segment: str | None = None
    stages: Sequence[tuple[str, str, int]] = ()

    def within(self, column: Column) -> Column:
        """Whether a moment lies in the period."""
        return and_(column >= self.since, column < self.until)

    def of(self, table: FromClause) -> Column:
        """The rows that are asked for and seen, of a table that has these columns."""
        of = table.c
        found = [of.object_type == self.object_type, self.owners.condition(of.owner_id)]
        for name, wanted in (
            ("pipeline_key", self.pipeline), ("owner_id", self.person), ("team_id", self.team),
            ("segment", self.segment),
        ):  # fmt: skip
            if wanted is not None:
                found.append(of[name] == wanted)
        return and_(*found)


def number(condition: Column) -> Column:
    """1 where it holds, else 0."""
    return case((condition, 1), else_=0)


def seconds(since: Column, until: Column) -> Column:
    """Whole seconds from one moment to another, none where it is before."""
    passed = func.floor(func.extract("epoch", until - since))
    return func.greatest(cast(passed, BigInteger), 0)


def judged(excluded: Column, counted: Column) -> Column:
    """What becomes of a case: it is left out, counted, or too young to judge."""
    return case((excluded, EXCLUDED), (counted, COUNTED), else_=CENSORED)


def probability() -> Column:
    """The stated probability of a win, from 0 to 1."""
    return cast(func.coalesce(visit.c.win_probability, 0), Numeric) / 100


def text(word: str) -> Column:
    return cast(literal(word), Text)


def sample(
    source: FromClause, at: Column, state: Column | str, numerator: Column | int, denominator: Column | int = 1,
    **more: Column | str,
) -> Select[Any]:  # fmt: skip
    """A case of each row of the source, which has the columns of who and where; `more` replaces or adds columns. Its
    place among the cases of an opportunity is `number`."""
    of = source.c
    known: dict[str, Column | str] = {
        "opportunity_id": of.opportunity_id,
        "number": of.revision if "revision" in of else of.decision_no if "decision_no" in of else literal(0),
        "person": of.owner_id,
        "team": of.team_id,
        "pipeline": of.pipeline_key,
        "stage": of.stage_key,
        "segment": of.segment,
        "path": "",
        "rule": "",
        "category": "",
        "hour": "",
        "currency": "",
        "part": "",
    }
    columns = [(text(each) if isinstance(each, str) else each).label(name) for name, each in (known | more).items()]
    amounts = {"numerator": numerator, "denominator": denominator, "extra": more.get("extra", 0)}
    columns = [each for each in columns if each.name != "extra"]
    columns += [cast(each, Numeric).label(name) for name, each in amounts.items()]
    return select(*columns, at.label("at"), (text(state) if isinstance(state, str) else state).label("state"))


def there(source: FromClause) -> Column:
    """Deleted opportunities count nowhere."""
    return and_(
        opportunity.c.tenant_id == source.c.tenant_id,
        opportunity.c.opportunity_id == source.c.opportunity_id,
        ~opportunity.c.deleted,
    )


def of_visits(ask: Ask, found: Select[Any], source: NamedFromClause | FromClause = visit) -> Select[Any]:
    """Those of visits that are asked for."""
    return found.select_from(source.join(opportunity, there(source))).where(ask.of(source))
