"""Judges a finished run from outside: what was accepted, what the engine says, what the org holds, what the partner
got. It never asks a service whether it did well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sandbox.story.org_load import OrgOpportunity
from sandbox.story.partner import Partner
from sandbox.story.world import CRM_STAGE

MOST_FINDINGS = 20


@dataclass(frozen=True, slots=True)
class EngineOpportunity:
    """An opportunity as the stage engine's API shows it."""

    stage_key: str
    earned_stage: str
    revision: int
    amount: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything there is to judge by. Scores and decisions are counted by submission."""

    accepted: frozenset[str]
    scores: Mapping[str, int]
    decisions: Mapping[str, int]
    engine: Mapping[str, EngineOpportunity]
    org: Mapping[str, OrgOpportunity]
    partner: Partner


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was wrong; `findings` name the first cases in words.

    `lost` counts accepted submissions without a score, a decision or a record in the org, and stage changes the
    partner never got; `doubled` what there is twice of one of these; `out_of_order` changes the partner got late.
    """

    lost: int
    doubled: int
    out_of_order: int
    salesforce_equal: bool
    partner_exactly_once: bool
    findings: tuple[str, ...]

    @property
    def passed(self) -> bool:
        whole = self.lost == self.doubled == self.out_of_order == 0
        return whole and self.salesforce_equal and self.partner_exactly_once


def judge(evidence: Evidence) -> Verdict:
    """Compare every side with every other."""
    findings: list[str] = []
    in_org = Counter(submission for opportunity in evidence.org.values() for submission in opportunity.submission_ids)
    lost = doubled = 0
    for what, counts in (
        ("score", evidence.scores),
        ("decision", evidence.decisions),
        ("record in Salesforce", in_org),
    ):
        none = [key for key in evidence.accepted if not counts.get(key)]
        more = [key for key, count in counts.items() if count > 1]
        foreign = [key for key in counts if key not in evidence.accepted]
        lost, doubled = lost + len(none), doubled + len(more) + len(foreign)
        findings += [f"submission {key} has no {what}" for key in none]
        findings += [f"submission {key} has more than one {what}" for key in more]
        findings += [f"there is a {what} for {key}, which was never accepted" for key in foreign]
    different = list(_differences(evidence.engine, evidence.org))
    partner = evidence.partner
    missing, misled = _partner_faults(evidence.engine, partner)
    findings += different + missing + misled
    lost += len(missing)
    doubled += partner.doubled
    return Verdict(
        lost=lost,
        doubled=doubled,
        out_of_order=partner.out_of_order,
        salesforce_equal=not different,
        partner_exactly_once=not (missing or misled or partner.doubled or partner.out_of_order),
        findings=tuple(findings[:MOST_FINDINGS]),
    )


def _differences(engine: Mapping[str, EngineOpportunity], org: Mapping[str, OrgOpportunity]) -> Iterable[str]:
    for key in sorted(engine.keys() | org.keys()):
        ours, theirs = engine.get(key), org.get(key)
        if ours is None:
            yield f"{key} is in Salesforce and not in the engine"
        elif theirs is None:
            yield f"{key} is in the engine and not in Salesforce"
        elif CRM_STAGE.get(ours.stage_key) != theirs.stage_name:
            yield f"{key} is {theirs.stage_name} in Salesforce and {ours.stage_key} in the engine"


def _partner_faults(engine: Mapping[str, EngineOpportunity], partner: Partner) -> tuple[list[str], list[str]]:
    """Changes that never came, one line each, and opportunities whose last change is not their stage."""
    missing: list[str] = []
    misled: list[str] = []
    for key, opportunity in engine.items():
        count = partner.missing(key, opportunity.revision)
        missing += [f"the partner missed a change of {key}"] * count
        got = partner.changes.get(key)
        last = max(got, key=lambda change: change.revision) if got else None
        if last is not None and (last.revision, last.to_stage) != (opportunity.revision, opportunity.stage_key):
            misled.append(f"the partner has {key} in {last.to_stage}, revision {last.revision}")
    misled += [f"the partner knows {key}, which the engine does not" for key in partner.changes.keys() - engine.keys()]
    return missing, misled
