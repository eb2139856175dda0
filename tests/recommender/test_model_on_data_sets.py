"""Honesty on real deals: no skill where outcomes are unpredictable, some where answers carry signal."""

import csv
import os
import random
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest
from recommender.domain.history import Cell, Total
from recommender.domain.model import Abstention, Estimate, count_table
from recommender.domain.skill import Model, brier

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED_DATA = Path(os.environ.get("STAGECRAFT_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
STAGES = ["engaging", "won", "lost"]

Deal = tuple[str, str]  # what was known of it, and its outcome


def data_set(name: str, delimiter: str) -> list[dict[str, str]]:
    path = SHARED_DATA / name
    if not path.exists():
        pytest.skip(f"{path} is absent; set STAGECRAFT_SHARED_DATA to the folder that holds it")
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def estimates(older: Sequence[Deal], newer: Sequence[Deal]) -> list[tuple[Estimate, Estimate, str]]:
    """For each newer deal the estimate from what was known, that from the stage alone, and the outcome."""
    table = count_table((Cell("sales", "engaging", "profile", known), outcome, 1) for known, outcome in older)
    totals = {Total.ENDED_VISITS: len(older)}
    model = Model(table)
    answers = {}
    for known in {known for known, _ in newer}:
        cell, blind = Cell("sales", "engaging", "profile", known), Cell("sales", "engaging", "nothing", "nothing")
        answers[known] = model.answer(cell, totals, STAGES), model.answer(blind, totals, STAGES)
    return [(*answers[known], outcome) for known, outcome in newer]


def skill(older: Sequence[Deal], newer: Sequence[Deal]) -> float:
    """Brier skill over the base rate on the newer deals: 1 is perfect, 0 is no better than the base rate."""
    judged = estimates(older, newer)
    informed = sum(brier(answer.probabilities, outcome) for answer, _, outcome in judged)
    base_rate = sum(brier(blind.probabilities, outcome) for _, blind, outcome in judged)
    return 1 - informed / base_rate


@pytest.mark.parametrize("fields", [("product",), ("sales_agent",), ("product", "account")], ids="+".join)
def test_maven_outcomes_cannot_be_told_from_the_deal(fields):
    closed = [row for row in data_set("maven_crm/sales_pipeline.csv", ",") if row["deal_stage"] in ("Won", "Lost")]
    closed.sort(key=lambda row: datetime.strptime(row["close_date"], "%d-%m-%y").date())  # noqa: DTZ007
    deals = [("/".join(row[field] for field in fields), row["deal_stage"].lower()) for row in closed]
    cut = len(deals) * 7 // 10
    older, newer = deals[:cut], deals[cut:]
    assert [answer for answer, _, _ in estimates(older, newer) if answer.recommended_stage] == []


def test_bohanec_answers_tell_more_than_the_base_rate():
    """Identical questionnaires stay on one side of each split, or duplicates would give the outcome away."""
    rows = data_set("bohanec_b2b/Salvirt_B2B_ML_dataset.csv", ";")
    groups: dict[tuple[str, ...], list[Deal]] = {}
    for row in rows:
        answers = tuple(value for key, value in row.items() if key not in ("Product", "Seller", "Status"))
        groups.setdefault(answers, []).append((f"{row['Up_sale']}/{row['Client']}", row["Status"].lower()))
    skills = []
    for seed in range(10):
        order = list(groups.values())
        random.Random(seed).shuffle(order)
        deals = [deal for group in order for deal in group]
        skills.append(skill(deals[: len(deals) * 2 // 3], deals[len(deals) * 2 // 3 :]))
    assert sum(skills) / len(skills) > 0.05


def test_a_planted_signal_is_found_and_noise_is_not():
    """The measure itself can tell: this is what makes the absence of skill above mean something."""
    draw = random.Random(7)
    bands = [draw.choice(["40", "70"]) for _ in range(2_000)]
    planted = [(band, "won" if draw.random() < {"40": 0.2, "70": 0.8}[band] else "lost") for band in bands]
    noise = [(band, draw.choice(["won", "lost"])) for band in bands]
    assert skill(planted[:1_400], planted[1_400:]) > 0.25
    assert skill(noise[:1_400], noise[1_400:]) < 0.01
    abstentions = [answer.abstention for answer, _, _ in estimates(noise[:100], noise[1_900:])]
    assert set(abstentions) == {Abstention.COLD_START}


def outcomes(seed: int, *, signal: float, deals: int = 1_500) -> list[Deal]:
    """Deals in four bands of which six in ten are won. `signal` is how much more or less in the outer bands."""
    draw = random.Random(seed)
    shares = {"a": 0.6 - signal, "b": 0.6 - signal / 3, "c": 0.6 + signal / 3, "d": 0.6 + signal}
    bands = [draw.choice("abcd") for _ in range(deals)]
    return [(band, "won" if draw.random() < shares[band] else "lost") for band in bands]


@pytest.mark.parametrize("seed", range(10))
def test_it_abstains_on_shuffled_outcomes(seed):
    deals = outcomes(seed, signal=0.3)
    labels = [outcome for _, outcome in deals]
    random.Random(seed).shuffle(labels)
    shuffled = [(band, outcome) for (band, _), outcome in zip(deals, labels, strict=True)]
    found = {answer.abstention for answer, _, _ in estimates(shuffled, deals[:50])}
    assert found == {Abstention.NO_SKILL}


@pytest.mark.parametrize("seed", range(10))
def test_it_answers_on_a_clear_signal(seed):
    deals = outcomes(seed, signal=0.3)
    answers = {known: answer.recommended_stage for (known, _), (answer, _, _) in zip(
        deals[:50], estimates(deals, deals[:50]), strict=True)}  # fmt: skip
    assert (answers["a"], answers["d"]) == ("lost", "won")
