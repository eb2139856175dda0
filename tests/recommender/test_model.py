"""Estimates and abstentions, by example and by property."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recommender.domain.history import Cell, Total
from recommender.domain.model import (
    CHAMPION_0,
    Abstention,
    Level,
    Priors,
    count_table,
    estimate,
    is_cold,
    model_version,
    smoothed,
)
from recommender.domain.skill import Model

STAGES = ["prospecting", "discovery", "demo", "won", "lost"]


WARM = {Total.WON: 500, Total.LOST: 500, Total.ENDED_VISITS: 2_000}


CELL = Cell("sales", "prospecting", "fit", "70")


assessments, band_names = st.sampled_from(["fit", "need"]), st.sampled_from(["40", "70"])


cells = st.builds(Cell, st.just("sales"), st.just("prospecting"), assessments, band_names)


cases = st.lists(st.tuples(cells, st.sampled_from(STAGES), st.integers(1, 60)), max_size=12)


def judged(rows, cell=CELL, totals=WARM, own=None, stages=STAGES):
    return estimate(count_table(rows).levels(cell, own or {}), totals, stages)


class TestEstimate:
    def test_recommends_where_most_such_deals_went(self):
        answer = judged([(CELL, "discovery", 80), (CELL, "lost", 20)])
        assert (answer.recommended_stage, answer.abstention) == ("discovery", None)
        assert (answer.level, answer.support) == (Level.BAND, 100)
        assert answer.counts == {"discovery": 80, "lost": 20}
        assert answer.probabilities["discovery"] == pytest.approx(0.8, abs=0.01)
        assert answer.runner_up < answer.lower_bound < answer.probabilities["discovery"]

    def test_may_recommend_to_stay(self):
        assert judged([(CELL, "prospecting", 90), (CELL, "lost", 9)]).recommended_stage == "prospecting"

    def test_thin_cells_back_off_to_the_assessment_then_to_the_stage(self):
        same_assessment = Cell("sales", "prospecting", "fit", "40")
        other_assessment = Cell("sales", "prospecting", "need", "40")
        assert judged([(CELL, "demo", 19), (same_assessment, "discovery", 1)]).level is Level.ASSESSMENT
        assert judged([(CELL, "demo", 19), (other_assessment, "discovery", 1)]).level is Level.STAGE

    def test_cases_of_another_stage_or_pipeline_do_not_count(self):
        strangers = [Cell("sales", "demo", "fit", "70"), Cell("renewals", "prospecting", "fit", "70")]
        answer = judged([(cell, "won", 500) for cell in strangers])
        assert (answer.support, answer.abstention) == (0, Abstention.LOW_EVIDENCE)

    def test_a_deal_does_not_inform_its_own_recommendation(self):
        rows = [(CELL, "discovery", 30), (CELL, "lost", 5)]
        own = {(CELL, "lost"): 2}
        assert judged(rows, own=own) == judged([(CELL, "discovery", 30), (CELL, "lost", 3)])

    def test_stages_the_pipeline_no_longer_has_are_left_out(self):
        answer = judged([(CELL, "demo", 50), (CELL, "retired", 300)])
        assert answer.recommended_stage == "demo"
        assert answer.support == 50
        assert "retired" not in answer.probabilities


class TestAbstention:
    @pytest.mark.parametrize(
        ("totals", "cold"),
        [
            ({}, True),
            ({Total.WON: 39, Total.LOST: 400, Total.ENDED_VISITS: 199}, True),
            ({Total.WON: 40, Total.LOST: 40, Total.ENDED_VISITS: 80}, False),
            ({Total.WON: 0, Total.LOST: 0, Total.ENDED_VISITS: 200}, False),
        ],
    )
    def test_cold_start_needs_both_few_closed_deals_and_few_visits(self, totals, cold):
        answer = judged([(CELL, "discovery", 100)], totals=totals)
        assert (answer.abstention is Abstention.COLD_START) is cold
        assert (answer.recommended_stage is None) is cold

    def test_low_evidence_when_no_level_has_enough_cases(self):
        enough = CHAMPION_0.support_floor
        assert judged([(CELL, "discovery", enough - 1)]).abstention is Abstention.LOW_EVIDENCE
        assert judged([(CELL, "discovery", enough)]).abstention is None

    def test_low_confidence_when_the_bound_does_not_clear_the_runner_up(self):
        assert judged([(CELL, "discovery", 52), (CELL, "lost", 48)]).abstention is Abstention.LOW_CONFIDENCE
        assert judged([(CELL, "discovery", 5_200), (CELL, "lost", 4_800)]).abstention is None

    @given(rows=cases, more=cases)
    def test_more_cases_never_bring_back_low_evidence(self, rows, more):
        if judged(rows).abstention is not Abstention.LOW_EVIDENCE:
            assert judged(rows + more).abstention is not Abstention.LOW_EVIDENCE

    @given(
        before=st.dictionaries(st.sampled_from(list(Total)), st.integers(0, 300)),
        more=st.dictionaries(st.sampled_from(list(Total)), st.integers(0, 300)),
    )
    def test_more_history_never_cools_a_pipeline(self, before, more):
        if not is_cold(before):
            assert not is_cold(Counter(before) + Counter(more))

    @given(rows=cases, extra=st.integers(1, 50))
    def test_more_of_the_recommended_outcome_never_silences_it(self, rows, extra):
        answer = judged(rows)
        if answer.recommended_stage and answer.level is Level.BAND:
            again = judged([*rows, (CELL, answer.recommended_stage, extra)])
            assert again.recommended_stage == answer.recommended_stage
            assert again.lower_bound >= answer.lower_bound - 1e-8


class TestSkill:
    OTHER = Cell("sales", "prospecting", "fit", "40")

    def answer(self, rows, cell=CELL):
        return Model(count_table(rows)).answer(cell, WARM, STAGES)

    def test_the_base_rate_alone_is_no_answer(self):
        alone = self.answer([(CELL, "discovery", 90), (CELL, "lost", 10)])
        assert (alone.abstention, alone.recommended_stage) == (Abstention.NO_SKILL, None)

    def test_bands_that_tell_outcomes_apart_are_answered(self):
        rows = [(CELL, "discovery", 90), (CELL, "lost", 10), (self.OTHER, "discovery", 30), (self.OTHER, "lost", 70)]
        assert self.answer(rows).recommended_stage == "discovery"
        assert self.answer(rows, self.OTHER).recommended_stage == "lost"

    def test_bands_that_do_not_are_not(self):
        rows = [(CELL, "discovery", 70), (CELL, "lost", 30), (self.OTHER, "discovery", 66), (self.OTHER, "lost", 34)]
        assert self.answer(rows).abstention is Abstention.NO_SKILL

    @given(rows=cases, cell=cells)
    def test_it_only_takes_answers_away(self, rows, cell):
        without, found = judged(rows, cell), self.answer(rows, cell)
        assert found.probabilities == without.probabilities
        if found.recommended_stage:
            assert found == without
        elif found.abstention is not Abstention.NO_SKILL:
            assert found.abstention is without.abstention


class TestProbabilities:
    @given(rows=cases, cell=cells)
    def test_sum_to_one_over_every_stage(self, rows, cell):
        answer = judged(rows, cell)
        assert set(answer.probabilities) == set(STAGES)
        assert sum(answer.probabilities.values()) == pytest.approx(1)
        assert min(answer.probabilities.values()) > 0

    @given(rows=cases, seed=st.integers())
    def test_do_not_depend_on_the_order_of_cases(self, rows, seed):
        shuffled = list(rows)
        random.Random(seed).shuffle(shuffled)
        assert judged(shuffled) == judged(rows)

    @given(rows=cases, order=st.permutations(STAGES))
    def test_do_not_depend_on_the_order_of_stages(self, rows, order):
        given_order, permuted = judged(rows), judged(rows, stages=order)
        assert permuted.probabilities == pytest.approx(given_order.probabilities)
        assert permuted.abstention == given_order.abstention

    def test_without_cases_are_uniform(self):
        assert set(judged([]).probabilities.values()) == {1 / len(STAGES)}


counted = st.fixed_dictionaries({stage: st.integers(0, 200) for stage in STAGES})


UNIFORM = dict.fromkeys(STAGES, 1 / len(STAGES))


class TestSmoothing:
    @given(counts=counted.filter(lambda counts: sum(counts.values()) > 0))
    def test_no_strength_gives_the_observed_shares(self, counts):
        total = sum(counts.values())
        shares = {stage: cases / total for stage, cases in counts.items()}
        assert smoothed(counts, UNIFORM, 0) == pytest.approx(shares)

    @given(counts=counted)
    def test_endless_strength_gives_the_parent(self, counts):
        assert smoothed(counts, UNIFORM, 1e12) == pytest.approx(UNIFORM)

    def test_no_cases_give_the_parent(self):
        parent = {**UNIFORM, "won": 0.36, "lost": 0.04}
        assert smoothed(dict.fromkeys(STAGES, 0), parent, 10) == pytest.approx(parent)


class TestVersion:
    def test_changes_with_the_pipeline_and_with_any_prior(self):
        versions = {
            model_version("sales", 1),
            model_version("sales", 2),
            model_version("renewals", 1),
            model_version("sales", 1, Priors(support_floor=21)),
        }
        assert len(versions) == 4
        assert model_version("sales", 1) == model_version("sales", 1)
