"""The rules by which subjects are assigned: put, read, and tried out on subjects that came."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from kit.database.unit_of_work import UnitOfWork
from kit.http.auth import Principal
from kit.http.etag import check_revision
from kit.http.ownership import Owners
from kit.ids import utc_now
from kit.operators.audit import record

from stage_engine.domain.assigned import Assigned
from stage_engine.domain.assignment import AssignmentRules, Worker, assign, taken
from stage_engine.domain.calendar import DEFAULT
from stage_engine.domain.choosing import observed_facts
from stage_engine.domain.finding import LintFinding, Severity, warning
from stage_engine.domain.inputs import Observation
from stage_engine.domain.lint_assignment import assignment_findings, people_findings
from stage_engine.domain.replay import decode_input
from stage_engine.engine import cell_fault
from stage_engine.errors.opportunities import PLURALS
from stage_engine.errors.work import AssignmentRulesInvalid, AssignmentRulesNotFound
from stage_engine.records.work import AssignmentRulesRecord
from stage_engine.repository.assignments import AssignmentRepository
from stage_engine.repository.locks import lock
from stage_engine.service.assigning import named_by
from stage_engine.service.calendars import Calendars

MONTH = timedelta(days=30)
# Subjects of one simulation.
MOST = 500


@dataclass(frozen=True, slots=True)
class Simulated:
    """Whom the rules would have chosen for a subject, by role."""

    opportunity_id: str
    seen_at: datetime
    choices: Sequence[Assigned]


@dataclass(frozen=True, slots=True)
class Simulation:
    """What the rules would have done with subjects that came, the oldest first: how many owners and rules each had,
    the empty ones for those without."""

    findings: Sequence[LintFinding]
    subjects: Sequence[Simulated]
    by_owner: Mapping[str, int]
    by_rule: Mapping[str, int]


class RulesOfAssignment:
    """The versions of each type of object."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._repository = AssignmentRepository(uow.session, uow.tenant_id)

    async def one(self, object_type: str) -> AssignmentRulesRecord:
        """The rules in force."""
        found = await self._repository.newest(object_type)
        if found is None:
            raise AssignmentRulesNotFound(object_type)
        return found

    async def findings(self, object_type: str, rules: AssignmentRules) -> list[LintFinding]:
        """What the author should look at. AssignmentRulesInvalid where rules cannot work."""
        found = checked(object_type, rules)
        if object_type not in PLURALS:
            words = f"the CRM shows no records of type {object_type!r}: there are {', '.join(PLURALS)}"
            found.append(warning("object_type_unknown", "", words))
        bench = await self._repository.bench(object_type, rules.people)
        return [*found, *people_findings(rules, {each.person_id: each.active for each in bench})]

    async def put(
        self, object_type: str, rules: AssignmentRules, expected: int, caller: Principal
    ) -> tuple[AssignmentRulesRecord, list[LintFinding]]:
        """A new version, in force at once, and what its author should look at. AssignmentRulesInvalid."""
        findings = await self.findings(object_type, rules)
        await lock(self._uow.session, self._uow.tenant_id, [f"assignment:{object_type}"])
        newest = await self._repository.newest(object_type)
        if newest is None and expected:
            raise AssignmentRulesNotFound(object_type)
        version = newest.version if newest else 0
        check_revision(expected, version)
        await self._repository.add(object_type, version + 1, rules, caller.subject)
        await record(self._uow, caller, "assignment_rules.changed", object_type, version=version + 1)
        return AssignmentRulesRecord(object_type, version + 1, rules, utc_now(), caller.subject), findings

    async def simulate(
        self, object_type: str, rules: AssignmentRules, since: datetime | None, owners: Owners
    ) -> Simulation:
        """What they would have done with what came since then, each at its own time. All begin with nothing open. A
        fact that no pipeline read when a subject came is unknown."""
        findings = await self.findings(object_type, rules)
        seen = await self._repository.first_seen(object_type, since or utc_now() - MONTH, owners, MOST)
        given = [(each, decode_input(each.given)) for each in reversed(seen)]
        facts = {
            each.opportunity_id: observed_facts(first, each.decided_at)
            for each, first in given
            if isinstance(first, Observation)
        }
        people = set(rules.people).union(*(named_by(rules, each) for each in facts.values()))
        calendars = await Calendars(self._uow).of_owners(people) if people else {}
        bench = {
            w.person_id: Worker(w.person_id, w.active, 0, None, calendars.get(w.person_id, DEFAULT))
            for w in await self._repository.bench(object_type, people)
        }
        subjects: list[Simulated] = []
        for each, _ in given:
            choices = assign(rules, facts.get(each.opportunity_id, {}), bench, each.decided_at)
            bench = taken(bench, choices, each.decided_at)
            subjects.append(Simulated(each.opportunity_id, each.decided_at, choices))
            # Large pools take milliseconds for each subject, and others wait for their turn meanwhile.
            await asyncio.sleep(0)
        first_choices = [each.choices[0] for each in subjects if each.choices]
        return Simulation(
            findings,
            subjects,
            Counter(each.person_id for each in first_choices),
            Counter(each.rule_id for each in first_choices),
        )


def checked(object_type: str, rules: AssignmentRules) -> list[LintFinding]:
    """What the author should look at. AssignmentRulesInvalid where rules cannot work."""
    findings = assignment_findings(object_type, rules, cell_fault)
    errors = [each for each in findings if each.severity is Severity.ERROR]
    if errors:
        raise AssignmentRulesInvalid(errors)
    return findings
