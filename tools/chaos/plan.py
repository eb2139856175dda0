"""What a run does and when, from its seed alone: the same seed breaks the same things in the same order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from sandbox.stack.services import ORG, SERVICES

BROKER = "kafka"
DATABASE = "postgres"
PROCESSES = (*SERVICES, BROKER, DATABASE, ORG)


class Act(StrEnum):
    KILL = "kill"
    PAUSE_BROKER = "pause the broker"
    REFUSE_CONNECTIONS = "refuse connections to the databases"
    FILL_DISK = "fill the database's disk"
    HOLD_LOCKS = "hold locks in every database and say nothing"
    DEMOTE = "let every database be read only"
    ANSWER_HTML = "let the org answer with pages of HTML"
    JUMP_CLOCK = "move the org's clock ahead"
    POISON = "poison every topic"
    JOIN = "start a second instance"
    LEAVE = "stop the second instance"
    VANISH = "kill the second instance"


@dataclass(frozen=True)
class Plan:
    """How much is handed in, over how long, and what breaks meanwhile.

    `kills_each` counts per process. `pairs` is how often a second instance of `doubled` joins and leaves. A pause,
    refusal, jump, full disk or hang of 0 s leaves that fault out; `hang_seconds` counts for held locks, a read-only
    database and pages of HTML each. `calm_submissions` follow when nothing is broken any more.
    A `thorough` run weighs the processes meanwhile, and restarts each in good order at the end. `outages` is how often
    the broker and the database are killed in turn, with every service about the same time. A run of the
    `hostile_alone` breaks nothing.
    """

    seed: int
    submissions: int
    opportunities: int
    day_seconds: float
    kills_each: int
    pairs: int
    pause_seconds: float
    refuse_seconds: float
    full_disk_seconds: float
    jump_seconds: float
    hang_seconds: float
    calm_submissions: int
    calm_seconds: float
    thorough: bool
    outages: int = 0
    hostile_alone: bool = False

    @property
    def doubled(self) -> str:
        """The consumer service that runs twice for part of the time."""
        return Random(f"doubled:{self.seed}").choice(SERVICES)


def full(seed: int) -> Plan:
    """What `make chaos` plays."""
    return Plan(seed, 5000, 400, 300, 6, 4, 30, 10, 15, 3600, 20, 2000, 50, True)


def short(seed: int) -> Plan:
    """About a minute, for every test run."""
    return Plan(seed, 400, 40, 25, 1, 1, 3, 2, 2, 600, 2, 60, 3, False)


def recovery(seed: int) -> Plan:
    """Kills that meet each other and what hangs: how soon does a service work again?"""
    return Plan(seed, 600, 100, 120, 0, 0, 10, 5, 0, 0, 10, 0, 0, False, outages=5)


def hostile(seed: int) -> Plan:
    """What others notice of the hostile tenant, and nothing else."""
    return Plan(seed, 0, 400, 0, 0, 0, 0, 0, 0, 0, 0, 2000, 50, False, hostile_alone=True)


PLANS: Mapping[str | None, Callable[[int], Plan]] = {"short": short, "recovery": recovery, "hostile": hostile}


@dataclass(frozen=True, order=True)
class Step:
    """Something to do `at_s` seconds into the day."""

    at_s: float
    act: Act
    target: str = ""


def schedule(plan: Plan) -> list[Step]:
    """Everything that is done to the system, in order of time."""
    chance = Random(f"chaos:{plan.seed}")
    day = plan.day_seconds

    def moment(first: float = 0.02, last: float = 0.98) -> float:
        return chance.uniform(first, last) * day

    steps = [Step(moment(), Act.KILL, process) for process in PROCESSES for _ in range(plan.kills_each)]
    for number in range(plan.outages):
        at = (number + 0.1) / plan.outages * day
        steps.append(Step(at, Act.KILL, (BROKER, DATABASE)[number % 2]))
        steps += [Step(at + chance.uniform(-1, 8), Act.KILL, service) for service in SERVICES]
    steps.append(Step(moment(0.1, 0.6), Act.POISON))
    if plan.pause_seconds:
        steps.append(Step(moment(0.2, 0.8), Act.PAUSE_BROKER))
    if plan.refuse_seconds:
        steps.append(Step(moment(0.2, 0.8), Act.REFUSE_CONNECTIONS))
    if plan.full_disk_seconds:
        steps.append(Step(moment(0.2, 0.8), Act.FILL_DISK))
    if plan.jump_seconds:
        steps.append(Step(moment(0.2, 0.8), Act.JUMP_CLOCK))
    if plan.hang_seconds:
        steps += [Step(moment(0.1, 0.8), act) for act in (Act.HOLD_LOCKS, Act.DEMOTE, Act.ANSWER_HTML)]
    for number in range(plan.pairs):
        start, end = number / plan.pairs, (number + 1) / plan.pairs
        leaving = Act.LEAVE if number % 2 == 0 else Act.VANISH
        steps.append(Step(moment(start, (start + end) / 2), Act.JOIN, plan.doubled))
        steps.append(Step(moment((start + end) / 2, end), leaving, plan.doubled))
    return sorted(steps)
