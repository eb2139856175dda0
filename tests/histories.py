"""Random histories of a few opportunities, and the log of their decisions."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from stage_engine.domain.decision import Decision
from stage_engine.domain.document import from_document
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.facts import CREATED, FactInForce
from stage_engine.domain.fold import Step, fold
from stage_engine.domain.inputs import (
    Command,
    FactChange,
    Input,
    Migration,
    Observation,
    Occasion,
    Reassignment,
    Submission,
)
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.requests import HoldRequest, ResumeRequest
from stage_engine.engine import compiled

BEGIN = datetime(2026, 1, 5, 8, tzinfo=UTC)
OPEN = ("new", "fit", "trial", "deal")
CLOSED = ("won", "lost", "gone")
OWNERS = ("ann", "bob", "cat")
TEAMS = {"ann": "mona", "bob": "mona", "cat": "max"}
_CLOSED_AS = {"won": "won", "lost": "lost", "gone": "abandoned"}
_RULES = (("new", "fit", "new.score", "auto"), ("fit", "trial", "fit.score", "auto"), ("trial", "deal", "trial.score",
          "propose"), ("fit", "new", "opportunity.type", "propose"), ("deal", "won", "deal.score", "auto"))  # fmt: skip
_HAS_AMOUNT = {"key": "amount", "name": "There is an amount", "conditions": [{"fact": "opportunity.amount",
               "cell": "> 0"}]}  # fmt: skip


def document(key: str = "sales", **renamed: str) -> dict[str, Any]:
    """A pipeline with all that figures read; stages may have other names."""

    def name(stage: str) -> str:
        return renamed.get(stage, stage)

    stages: list[dict[str, Any]] = [
        {"key": name(stage), "name": stage.title(), "category": "open", "assessment_keys": [stage],
         "win_probability": 20 * place, "exit": [_HAS_AMOUNT] if stage in ("fit", "trial") else []}
        for place, stage in enumerate(OPEN)
    ]  # fmt: skip
    stages[1] |= {"expected_days": 3, "stalled_after_days": 5}
    stages[2] |= {"expected_days": 2, "forecast": "best_case"}
    stages[3] |= {"forecast": "commit"}
    del stages[0]["win_probability"]
    stages += [{"key": name(s), "name": s.title(), "category": category} for s, category in _CLOSED_AS.items()]
    rules = [
        {"rule_id": f"{a}_{b}", "from_stage": name(a), "to_stage": name(b), "mode": mode, "back": b == "new",
         "conditions": [{"fact": fact, "cell": "'back'" if b == "new" else "> 50"}]}
        for a, b, fact, mode in _RULES
    ]  # fmt: skip
    return {"key": key, "name": key.title(), "skip_policy": "forbid", "is_default": key == "sales", "stages": stages,
            "rules": rules, "segment_fact": "opportunity.type", "confirm_own": True}  # fmt: skip


# The second version has another stage in front of "deal", which has another name there; "other" is another pipeline.
def _second() -> dict[str, Any]:
    made = document(trial="demo") | {"skip_policy": "if_guards_hold"}
    made["stages"].insert(3, {"key": "pause", "name": "Pause", "category": "open"})
    return made


DOCUMENTS = {("sales", 1): document(), ("sales", 2): _second(), ("other", 1): document("other")}


def rulesets() -> dict[tuple[str, int], Ruleset]:
    return {(key, version): compiled(from_document(each, version)) for (key, version), each in DOCUMENTS.items()}


@dataclass(frozen=True)
class Happening:
    """Something of a kind happens to an opportunity some hours later; `x` and `y` say what exactly."""

    kind: str
    opportunity: int
    x: int
    y: int
    hours: int


KINDS = ("edit", "edit", "edit", "create", "amount", "due", "owner", "score", "score", "score", "move", "move",
         "override", "override", "close", "reopen", "hold", "resume", "type", "delete", "migrate",
         "reassign")  # fmt: skip


def at_random(random: Random, length: int, opportunities: int, hours: int = 60) -> list[Happening]:
    """Some happenings, each less than so many hours after the one before."""
    return [
        Happening(random.choice(KINDS), random.randrange(opportunities), random.randrange(10), random.randrange(10),
                  random.randrange(hours))
        for _ in range(length)
    ]  # fmt: skip


@dataclass(frozen=True)
class Logged:
    """A decision of the log with all that it was made of, and the ruleset it rests on."""

    decided_at: datetime
    step: Step
    rules: Ruleset

    @property
    def decision(self) -> Decision:
        return self.step.decision

    @property
    def after(self) -> Opportunity:
        assert self.step.decision.opportunity is not None
        return self.step.decision.opportunity


def play(happenings: Iterable[Happening], rules: dict[tuple[str, int], Ruleset]) -> Iterator[Logged]:
    """The decisions that follow, one for each happening that means something at that time."""
    known: dict[str, Opportunity] = {}
    seen: dict[str, Observation] = {}
    now = BEGIN
    for number, each in enumerate(happenings):
        now += timedelta(hours=each.hours, microseconds=1)
        id_ = f"o{each.opportunity}"
        before = known.get(id_)
        given = _input(each, number, id_, before, seen, now)
        if given is None:
            continue
        version = ("sales", 1) if before is None else (before.pipeline_key, before.pipeline_version)
        if isinstance(given, Migration):
            version = ("sales", given.to_version)
        if isinstance(given, Reassignment):
            version = (given.to_pipeline, given.to_version)
        for step in fold(before, [given], rules[version], now, set()):
            assert step.decision.opportunity is not None
            known[id_] = step.decision.opportunity
            yield Logged(now, step, rules[version])


def _input(  # noqa: PLR0911 - one for each kind
    each: Happening, number: int, id_: str, before: Opportunity | None, seen: dict[str, Observation], now: datetime
) -> Input | None:
    if before is None or each.kind in ("edit", "create", "amount", "due", "owner", "delete"):
        seen[id_] = _observation(each, number, id_, before, seen.get(id_), now)
        return seen[id_]
    pipeline, stage, revision = before.pipeline_key, before.stage_key, before.revision
    match each.kind:
        case "score":
            keys = {"demo": "trial", "pause": "trial"}
            return Submission(f"s{number}", id_, keys.get(stage, stage), Decimal(10 * each.x), stage, before.visit_no,
                              1, now, now, "p", 1, OWNERS[each.y % 3], (), (), True)  # fmt: skip
        case "move" | "override" | "close" | "reopen":
            places = CLOSED if each.kind == "close" else (*OPEN, "demo", "pause")
            target = places[each.x % len(places)]
            return Command(f"m{number}", id_, target, revision, "mona", "manager", True, "WHY", "because",
                           each.kind == "override", each.y > 4, None)  # fmt: skip
        case "hold":
            return HoldRequest(f"h{number}", id_, revision, "mona", "later")
        case "resume":
            return ResumeRequest(f"r{number}", id_, revision, "mona")
        case "type":
            name = ("new", "back", "renewal")[each.x % 3]
            return FactChange(f"f{number}", id_, "crm", (FactInForce("opportunity.type", name, "crm", now),))
        case "migrate" if pipeline == "sales" and stage and stage not in CLOSED:
            target = 3 - before.pipeline_version
            stages = (("trial", "demo"),) if target == 2 else (("demo", "trial"), ("pause", "fit"))
            return Migration(f"g{number}", id_, target, stages, each.x > 5, each.y > 5, "mona")
        case "reassign" if stage and stage not in CLOSED:
            other = "other" if pipeline == "sales" else "sales"
            target = OPEN[each.x % 4]
            return Reassignment(f"c{number}", id_, other, 1, target, target, (), "carl")
        case _:
            return None


def _observation(  # noqa: PLR0911 - one for each kind
    each: Happening, number: int, id_: str, before: Opportunity | None, last: Observation | None, now: datetime
) -> Observation:
    if last is None:
        stages = (*OPEN, *CLOSED) if each.y > 7 else OPEN[:2]
        created = FactInForce(CREATED, now - timedelta(days=each.x), "crm", now)
        last = Observation(
            f"c{number}", id_, Occasion.CREATED if each.x % 2 else Occasion.IMPORTED, stages[each.x % len(stages)], "",
            Decimal(100 * each.x) if each.x else None, "2026-02-10", OWNERS[each.y % 3], "carl", now,
            in_stage_since=now - timedelta(days=1) if each.y % 3 == 0 else None,
            facts=(created,) if each.x % 3 else (),
            currency=("EUR", "USD")[each.opportunity % 2],
        )  # fmt: skip
        return replace(last, crm_stage=last.stage_key)
    mine = before.stage_key if before is not None else last.stage_key
    given = replace(last, change_id=f"c{number}", committed_at=now, occasion=Occasion.UPDATED, stage_key=mine,
                    crm_stage=mine, changed_by="carl", in_stage_since=None, facts=())  # fmt: skip
    match each.kind:
        case "edit":
            renamed = before is not None and before.pipeline_key == "sales" and before.pipeline_version == 2
            stages = [*OPEN, *OPEN, *CLOSED]
            found = stages[each.x % len(stages)]
            found = "demo" if renamed and found == "trial" else found
            return replace(given, stage_key=found, crm_stage=found)
        case "amount":
            return replace(given, amount=Decimal(each.x * 100) if each.x else None)
        case "due":
            return replace(given, close_date=f"2026-0{each.x % 4 + 1}-1{each.y}" if each.x else "")
        case "owner":
            return replace(given, owner_id=OWNERS[each.x % 3])
        case "delete":
            return replace(given, occasion=Occasion.DELETED if each.x > 6 else Occasion.UNDELETED)
        case _:
            return given
