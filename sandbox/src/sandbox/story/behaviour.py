"""What the team of a world will do: hidden truths, assessments to hand in, and the mistakes people make.

Every draw comes from the seed and the deal's key, so a deal behaves the same whatever stands beside it.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle
from random import Random

from sandbox.story.answers import draw_answers
from sandbox.story.world import (
    ASSESSMENT_OF,
    CLOSED_LOST,
    OPEN_STAGES,
    STAGES,
    Answers,
    Attempt,
    BadSubmission,
    Deal,
    Edit,
    Flaw,
    Move,
    Rep,
    Story,
    World,
    rank,
)

# How many stages the evidence supports beyond an honest claim, in percent.
AHEAD_OF_CLAIM = {0: 48, 1: 38, 2: 10, 3: 4}
BEHIND_CLAIM = {1: 65, 2: 35}
ATTEMPTED = 0.5
REVIEWED = 0.3
RETAKEN = 0.15
# One in so many open deals.
EDIT_EVERY = 60
BAD_EVERY = 60
MOVE_EVERY = 90


def plan_story(world: World, seed: int) -> Story:
    """The world with its hidden truth and all that will be done in it."""
    reps = {rep.key: rep for rep in world.reps}
    deals = tuple(
        _with_work(deal, reps[deal.rep_key], Random(f"work:{seed}:{deal.key}")) if deal.is_open else deal
        for deal in world.deals
    )
    chance = Random(f"people:{seed}")
    open_deals = [deal for deal in deals if deal.is_open]
    edited = _one_in(EDIT_EVERY, open_deals, chance)
    taken = {deal.key for deal in edited}
    quiet = [deal for deal in open_deals if not (deal.reviews or deal.attempts or deal.key in taken)]
    bad = chance.sample(quiet, min(len(quiet), len(open_deals) // BAD_EVERY))
    taken |= {deal.key for deal in bad}
    movable = [deal for deal in quiet if deal.key not in taken and deal.claimed != OPEN_STAGES[-1]]
    moved = chance.sample(movable, min(len(movable), len(open_deals) // MOVE_EVERY))
    return Story(
        world=replace(world, deals=deals),
        edits=tuple(_edit(deal, chance) for deal in edited),
        bad_submissions=tuple(_bad(deal, flaw, chance) for deal, flaw in zip(bad, cycle(Flaw), strict=False)),
        moves=tuple(Move(deal.key, STAGES[rank(deal.claimed) + 1]) for deal in moved),
    )


def _with_work(deal: Deal, rep: Rep, chance: Random) -> Deal:
    claimed = rank(deal.claimed)
    if claimed > 0 and chance.random() < rep.optimism:
        supported = max(0, claimed - _weighted(BEHIND_CLAIM, chance))
    else:
        supported = min(len(OPEN_STAGES), claimed + _weighted(AHEAD_OF_CLAIM, chance))
    reviews: list[Attempt] = []
    if claimed > 0 and chance.random() < REVIEWED:
        for stage in range(claimed):
            reviews.append(_attempt(stage, stage < supported, chance))
            if not reviews[-1].ready:
                break
    attempts: list[Attempt] = []
    if chance.random() < ATTEMPTED:
        # Without a network a rep does not learn of the next stage.
        last = claimed + 1 if rep.offline else len(OPEN_STAGES)
        for stage in range(claimed, last):
            attempts.append(_attempt(stage, stage < supported, chance))
            if not attempts[-1].ready:
                if supported == stage and chance.random() < RETAKEN:
                    # The rep went and got what was missing.
                    attempts.append(_attempt(stage, True, chance))
                    supported = stage + 1
                break
    return replace(deal, supported=STAGES[supported], reviews=tuple(reviews), attempts=tuple(attempts))


def _attempt(stage: int, ready: bool, chance: Random) -> Attempt:
    key = ASSESSMENT_OF[OPEN_STAGES[stage]]
    return Attempt(key, draw_answers(key, ready, chance), ready)


def _edit(deal: Deal, chance: Random) -> Edit:
    """A step back, a leap ahead, or a close by the deal's owner."""
    others = [stage for stage in OPEN_STAGES if stage != deal.claimed]
    return Edit(deal.key, chance.choice((chance.choice(others), CLOSED_LOST)), deal.rep_key)


def _bad(deal: Deal, flaw: Flaw, chance: Random) -> BadSubmission:
    key = ASSESSMENT_OF[deal.claimed]
    answers: dict[str, str | bool | int | list[str]] = dict(
        draw_answers(key, rank(deal.supported) > rank(deal.claimed), chance)
    )
    if flaw is Flaw.MISSING_ANSWER:
        del answers[next(iter(answers))]
    elif flaw is Flaw.UNKNOWN_CHOICE:
        spoiled = next(question for question, value in answers.items() if isinstance(value, str | list))
        answers[spoiled] = ["mostly"] if isinstance(answers[spoiled], list) else "mostly"
    return BadSubmission(deal.key, flaw, key, answers)


def spoiled(answers: Answers) -> Answers:
    """Other answers than these, as a device sends that mixed two captures up under one id."""
    return dict(list(answers.items())[:-1])


def _one_in(count: int, deals: list[Deal], chance: Random) -> list[Deal]:
    return chance.sample(deals, len(deals) // count)


def _weighted(weights: dict[int, int], chance: Random) -> int:
    return chance.choices(tuple(weights), weights=tuple(weights.values()))[0]
