"""Three processes as stories: their people, what happened when, what has to come out, and how it is put in words.

All of it is values; `processes` plays it. The moments are of the last months, so that what is due is due already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sandbox.story.told import Told, differences, id_of

RITA, RON, SAM = "Rita", "Ron", "Sam"
PEOPLE = (RITA, RON, SAM)
# Whose a new lead is before the rules choose.
QUEUE = "Queue"


# Who answers the survey and who does not part ways.

SURVEY = "survey_branch"


@dataclass(frozen=True, slots=True)
class Asked:
    """An opportunity that was asked what it wants; `wants` is the answer, empty for none."""

    name: str
    wants: str
    stage: str
    then: str

    @property
    def outcome(self) -> Way:
        return Way(self.stage, self.then)


@dataclass(frozen=True, slots=True)
class Way:
    """Where an opportunity went, and what was asked for when it did: an e-mail's target, or a field's value."""

    stage: str
    then: str


ASKED = (
    Asked("Alder Clinic", "advice", "conversation", "offer_of_advice"),
    Asked("Birch Hotels", "service", "conversation", "offer_of_service"),
    Asked("Cedar Print", "price", "walked_away", "Not pursued: PRICE_ONLY"),
    Asked("Dune Travel", "", "no_answer", "second_try"),
    Asked("Elm Schools", "", "no_answer", "second_try"),
)
# The survey waits seven days: these answer in time, and those have let them pass.
ASKED_DAYS_AGO, ANSWERED_DAYS_AGO, SILENT_FOR_DAYS = 5, 2, 8
# What was lost before it was asked.
LOST_DAYS_AGO = 60
_WAYS = {
    "conversation": "goes on to a conversation",
    "walked_away": "is walked away from",
    "no_answer": "goes another way",
}


def survey_told(ways: Mapping[str, Way]) -> Told:
    """The story of the survey, from where each opportunity went."""
    expected = {each.name: each.outcome for each in ASKED}
    stages = [way.stage for way in ways.values()]
    on, away, silent = (stages.count(stage) for stage in _WAYS)
    return Told(
        key=SURVEY,
        name="Survey branch",
        line=f"{len(ways)} asked: {on} go on, {away} wants the price alone: walked away, {silent} silent: another way",
        details=tuple(_survey_words(each, ways[each.name]) for each in ASKED if each.name in ways),
        figures={"asked": len(ways), "went_on": on, "walked_away": away, "silent": silent},
        findings=differences(ways, expected),
    )


def _survey_words(asked: Asked, way: Way) -> str:
    answered = f"wants {asked.wants}" if asked.wants else f"has not answered for {SILENT_FOR_DAYS} days"
    return f"{asked.name} {answered}, and {_WAYS.get(way.stage, f'is in {way.stage}')} ({way.then})"


# Every customer is called every 90 days.

CALLS = "ninety_day_call"
SIGNED_DAYS_AGO = 100


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer, and how long ago the owner called; None: never."""

    name: str
    owner: str
    called_days_ago: int | None


@dataclass(frozen=True, slots=True)
class Calls:
    """What an owner owed and did; `not_in_time` are ids of customers."""

    owed: int
    met: int
    late: int
    missed: int
    not_in_time: frozenset[str] = frozenset()


CUSTOMERS = (
    Customer("Gull Freight", RITA, 80),
    Customer("Heron Foods", RITA, 30),
    Customer("Ibis Tools", RON, 4),
    Customer("Jay Textiles", RON, None),
)
EXPECTED_CALLS = {
    RITA: Calls(2, 2, 0, 0),
    RON: Calls(2, 0, 1, 1, frozenset({id_of("Ibis Tools"), id_of("Jay Textiles")})),
}


def calls_told(calls: Mapping[str, Calls]) -> Told:
    """The story of the calls, from the report of who did not."""
    owed, met, late, missed = (
        sum(getattr(each, what) for each in calls.values()) for what in ("owed", "met", "late", "missed")
    )
    behind = ", ".join(who for who, each in sorted(calls.items()) if each.not_in_time) or "no one"
    return Told(
        key=CALLS,
        name="90-day call",
        line=f"of {owed} customers {met} were called in time, {late} late and {missed} not at all; behind: {behind}",
        details=tuple(_calls_words(who, each) for who, each in sorted(calls.items())),
        figures={"owed": owed, "met": met, "late": late, "missed": missed},
        findings=differences(calls, EXPECTED_CALLS),
    )


def _calls_words(who: str, calls: Calls) -> str:
    names = [each.name for each in CUSTOMERS if id_of(each.name) in calls.not_in_time]
    but = f", not {' and '.join(names)}" if names else ""
    return f"{who} called {calls.met} of {calls.owed} customers within 90 days{but}"


# A lead is called within two hours of business.

LEADS = "bant_lead"
POOLS = {"inside_sales": [RITA, RON], "specialists": [SAM]}
FIRST_CALL = "first_call"


@dataclass(frozen=True, slots=True)
class Lead:
    """A lead, when it was called from when that was due, in minutes, None for never; and the rule that gives it to a
    person."""

    name: str
    industry: str
    called: int | None
    state: str
    rule_id: str


@dataclass(frozen=True, slots=True)
class Given:
    """Who got a lead, by which rule and why, and whether that person called in time: the ledger's word."""

    person: str
    rule_id: str
    reason: str
    state: str


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast leads were called, as the service counts it; seconds of working hours."""

    judged: int
    in_time: int
    median: int | None


FRESH = (
    Lead("Lund Retail", "Retail", -10, "met", "in_turn"),
    Lead("Mora Steel", "Steel", 10, "late", "in_turn"),
    Lead("North Bank", "Banking", -20, "met", "regulated"),
    Lead("Ostra Paper", "Paper", None, "missed", "in_turn"),
)


def came_at(now: datetime) -> datetime:
    """Half an hour before the end of a Friday's business, so that most of the two hours is Monday's."""
    friday = now - timedelta(days=(now.weekday() - 4) % 7 + 7)
    return friday.replace(hour=16, minute=30, second=0, microsecond=0)


def due_at(now: datetime) -> datetime:
    """Two hours of business later."""
    return came_at(now).replace(hour=10) + timedelta(days=3)


def leads_told(given: Mapping[str, Given], speed: Speed) -> Told:
    """The story of the leads, from who got them, the ledger and how fast they were called."""
    expected = {each.name: f"{each.state} by {each.rule_id}" for each in FRESH}
    found = {name: f"{each.state} by {each.rule_id}" for name, each in given.items()}
    findings = differences(found, expected) + _wrong_people(given)
    met, late, missed = (_who(given, state) for state in ("met", "late", "missed"))
    if (speed.judged, speed.in_time) != (len(FRESH), len(met)):
        findings += (f"speed to lead counts {speed.in_time} of {speed.judged} in time, the ledger {len(met)}",)
    median = "none" if speed.median is None else f"{speed.median // 60} min"
    return Told(
        key=LEADS,
        name="Two-hour lead",
        line=f"{speed.in_time} of {speed.judged} called in time ({_named(met)}), {len(late)} late ({_named(late)}), "
        f"{len(missed)} not ({_named(missed)}); median {median}",
        details=tuple(f"{name} → {each.person}: {each.reason}; {each.state}" for name, each in sorted(given.items())),
        figures={"leads": speed.judged, "in_time": speed.in_time, "late": len(late), "missed": len(missed),
                 "median_business_seconds": speed.median},
        findings=findings,
    )  # fmt: skip


def _wrong_people(given: Mapping[str, Given]) -> tuple[str, ...]:
    """Those of the turn get one after the other, and the specialist what is regulated."""
    pools = {"in_turn": POOLS["inside_sales"], "regulated": POOLS["specialists"]}
    wrong = [f"{name} went to {each.person or 'no one'}" for name, each in given.items()
             if each.person not in pools.get(each.rule_id, ())]  # fmt: skip
    turns = [sum(each.person == person for each in given.values()) for person in POOLS["inside_sales"]]
    return (*wrong, *(["turns were not taken one after the other"] if max(turns) - min(turns) > 1 else []))


def _who(given: Mapping[str, Given], state: str) -> Sequence[str]:
    return sorted(each.person for each in given.values() if each.state == state)


def _named(people: Sequence[str]) -> str:
    return ", ".join(people) or "no one"
