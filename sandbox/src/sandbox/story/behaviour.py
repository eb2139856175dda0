"""What the team of a world will do: hidden truths, assessments to hand in, and the mistakes people make.

Every draw comes from the seed and the opportunity's key, so an opportunity behaves the same in any company.
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
    Edit,
    Flaw,
    Move,
    Opportunity,
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
# One in so many open opportunities.
EDIT_EVERY = 60
BAD_EVERY = 60
MOVE_EVERY = 90


def plan_story(world: World, seed: int) -> Story:
    """The world with its hidden truth and all that will be done in it."""
    reps = {rep.key: rep for rep in world.reps}
    opportunities = tuple(
        _with_work(opportunity, reps[opportunity.rep_key], Random(f"work:{seed}:{opportunity.key}"))
        if opportunity.is_open
        else opportunity
        for opportunity in world.opportunities
    )
    chance = Random(f"people:{seed}")
    open_opportunities = [opportunity for opportunity in opportunities if opportunity.is_open]
    edited = _one_in(EDIT_EVERY, open_opportunities, chance)
    taken = {opportunity.key for opportunity in edited}
    quiet = [
        opportunity
        for opportunity in open_opportunities
        if not (opportunity.reviews or opportunity.attempts or opportunity.key in taken)
    ]
    bad = chance.sample(quiet, min(len(quiet), len(open_opportunities) // BAD_EVERY))
    taken |= {opportunity.key for opportunity in bad}
    movable = [
        opportunity for opportunity in quiet if opportunity.key not in taken and opportunity.claimed != OPEN_STAGES[-1]
    ]
    moved = chance.sample(movable, min(len(movable), len(open_opportunities) // MOVE_EVERY))
    return Story(
        world=replace(world, opportunities=opportunities),
        edits=tuple(_edit(opportunity, chance) for opportunity in edited),
        bad_submissions=tuple(
            _bad(opportunity, flaw, chance) for opportunity, flaw in zip(bad, cycle(Flaw), strict=False)
        ),
        moves=tuple(Move(opportunity.key, STAGES[rank(opportunity.claimed) + 1]) for opportunity in moved),
    )


def _with_work(opportunity: Opportunity, rep: Rep, chance: Random) -> Opportunity:
    claimed = rank(opportunity.claimed)
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
                    # The rep got what was missing.
                    attempts.append(_attempt(stage, True, chance))
                    supported = stage + 1
                break
    return replace(opportunity, supported=STAGES[supported], reviews=tuple(reviews), attempts=tuple(attempts))


def _attempt(stage: int, ready: bool, chance: Random) -> Attempt:
    key = ASSESSMENT_OF[OPEN_STAGES[stage]]
    return Attempt(key, draw_answers(key, ready, chance), ready)


def _edit(opportunity: Opportunity, chance: Random) -> Edit:
    """A step back, a leap ahead, or a close by the opportunity's owner."""
    others = [stage for stage in OPEN_STAGES if stage != opportunity.claimed]
    return Edit(opportunity.key, chance.choice((chance.choice(others), CLOSED_LOST)), opportunity.rep_key)


def _bad(opportunity: Opportunity, flaw: Flaw, chance: Random) -> BadSubmission:
    key = ASSESSMENT_OF[opportunity.claimed]
    answers: dict[str, str | bool | int | list[str]] = dict(
        draw_answers(key, rank(opportunity.supported) > rank(opportunity.claimed), chance)
    )
    if flaw is Flaw.MISSING_ANSWER:
        del answers[next(iter(answers))]
    elif flaw is Flaw.UNKNOWN_CHOICE:
        spoiled = next(question for question, value in answers.items() if isinstance(value, str | list))
        answers[spoiled] = ["mostly"] if isinstance(answers[spoiled], list) else "mostly"
    return BadSubmission(opportunity.key, flaw, key, answers)


def spoiled(answers: Answers) -> Answers:
    """Other answers than these: a device that mixed up two captures sends both under one id."""
    return dict(list(answers.items())[:-1])


def _one_in(count: int, opportunities: list[Opportunity], chance: Random) -> list[Opportunity]:
    return chance.sample(opportunities, len(opportunities) // count)


def _weighted(weights: dict[int, int], chance: Random) -> int:
    return chance.choices(tuple(weights), weights=tuple(weights.values()))[0]
