"""Opportunities, inputs and pipelines to decide on, and a running engine."""

from collections.abc import AsyncIterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
import pytest_asyncio
from stage_engine.domain.decide import decide
from stage_engine.domain.decision import Decision
from stage_engine.domain.document import from_document
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.facts import FactInForce
from stage_engine.domain.inputs import Command, FactChange, Input, Observation, Occasion, Submission
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.sync import ConfirmedWrite
from stage_engine.engine import compiled
from stage_engine.templates import templates
from testing.service import ServiceUnderTest

from tests.stage_engine import Client, Tenant

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
_ids = count(1)


class World:
    """The field example, and short ways to say what happens to an opportunity in it."""

    start = START

    def __init__(self) -> None:
        self.rules = compiled(self.pipeline())

    def document(self, **changes: Any) -> dict[str, Any]:
        """The field example with parts replaced; `rule_<n>` changes one rule."""
        document = deepcopy(templates()["field_example"])
        for name, value in changes.items():
            if name.startswith("rule_"):
                document["rules"][int(name.removeprefix("rule_"))].update(value)
            else:
                document[name] = value
        return document

    def pipeline(self, **changes: Any) -> Pipeline:
        return from_document(self.document(**changes), 1)

    def ruleset(self, **changes: Any) -> Ruleset:
        return compiled(self.pipeline(**changes))

    def at(self, minutes: float) -> datetime:
        return START + timedelta(minutes=minutes)

    def submission(
        self, assessment: str, score: str | None, opportunity: Opportunity | None = None, **given: Any
    ) -> Submission:
        """Captured in the opportunity's current visit unless given otherwise."""
        number = next(_ids)
        fields: dict[str, Any] = {
            "submission_id": f"s{number}",
            "opportunity_id": "o1",
            "assessment_key": assessment,
            "score": None if score is None else Decimal(score),
            "stage_key": opportunity.stage_key if opportunity else "prospecting",
            "visit_no": opportunity.visit_no if opportunity else 1,
            "attempt_no": 1,
            "captured_at": START + timedelta(seconds=number),
            "received_at": START + timedelta(seconds=number),
            "profile_id": "p1",
            "profile_version": 1,
            "submitted_by": "rita",
            "lost": (),
            "unanswered": (),
            "entitled": True,
        }
        return Submission(**{**fields, **given})

    def observation(self, stage: str, **given: Any) -> Observation:
        fields: dict[str, Any] = {
            "change_id": f"c{next(_ids)}",
            "opportunity_id": "o1",
            "occasion": Occasion.UPDATED,
            "stage_key": stage,
            "crm_stage": stage.title(),
            "amount": Decimal(1000),
            "close_date": "2026-06-30",
            "owner_id": "rita",
            "changed_by": "carl",
            "committed_at": START,
        }
        return Observation(**{**fields, **given})

    def fact(self, name: str, value: Any, source: str = "crm", **given: Any) -> FactInForce:
        """What a source says now, after all that it said before."""
        literal = Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else value
        return FactInForce(name, literal, source, **{"observed_at": START, "sequence": next(_ids), **given})

    def facts(self, *facts: FactInForce) -> FactChange:
        return FactChange(f"f{next(_ids)}", "o1", facts[0].source, facts)

    def confirmed(self, revision: int, stage: str, number: int = 0, write_id: str = "w1") -> ConfirmedWrite:
        return ConfirmedWrite(write_id, "o1", revision, stage, number, self.at(1))

    def command(self, opportunity: Opportunity, to_stage: str, **given: Any) -> Command:
        fields: dict[str, Any] = {
            "command_id": f"m{next(_ids)}",
            "opportunity_id": "o1",
            "to_stage": to_stage,
            "expected_revision": opportunity.revision,
            "actor": "mona",
            "role": "manager",
            "may_override": given.get("role", "manager") != "rep",
            "reason_code": "",
            "text": "",
            "override": False,
            "skip": False,
            "expires_at": None,
        }
        return Command(**{**fields, **given})

    def decide(
        self, opportunity: Opportunity | None, given: Input, rules: Ruleset | None = None, now: datetime = START
    ) -> Decision:
        return decide(opportunity, given, rules or self.rules, now)

    def opportunity(self, stage: str = "prospecting", rules: Ruleset | None = None, **given: Any) -> Opportunity:
        """An opportunity first observed in this stage."""
        seen = self.observation(stage, occasion=Occasion.IMPORTED, **given)
        instance = decide(None, seen, rules or self.rules, START).opportunity
        assert instance is not None
        return instance


@pytest.fixture(scope="session")
def world() -> World:
    return World()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def engine(start_service: Any) -> AsyncIterator[ServiceUnderTest]:
    """A running engine that parks few submissions."""
    yield await start_service("stage_engine", parked_submission_limit=5, parked_limit_per_key=3)


@pytest_asyncio.fixture(loop_scope="session")
async def world_of(engine: ServiceUnderTest, tenant: str) -> Tenant:
    """A tenant's events, seen from outside."""
    return Tenant(engine, tenant)


@pytest_asyncio.fixture(loop_scope="session")
async def admin(engine: ServiceUnderTest, tenant: str) -> Client:
    """A tenant's administrator."""
    return Client(engine, tenant)
