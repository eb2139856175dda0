"""Which stage of ours is which of the CRM's."""

from crm_connector.domain.stages import (
    Category,
    CrmStage,
    PipelineStage,
    StageMap,
    completed,
    default_pairs,
    ending,
    faults,
    health,
    lacking,
)
from crm_connector.domain.writes import Ending

OURS = [
    PipelineStage("demo", "Demo", Category.OPEN),
    PipelineStage("won", "Closed Won", Category.WON),
    PipelineStage("gone", "Walked Away", Category.ABANDONED),
]


def crm(name: str, *, closed: bool = False, won: bool = False, active: bool = True, label: str = "") -> CrmStage:
    return CrmStage(name, label or name, 1, active, closed, won)


CATALOG = [crm("Demo"), crm("Closed Won", closed=True, won=True), crm("Lost", closed=True)]


class TestDefault:
    def test_equal_labels_pair_in_any_case(self) -> None:
        assert default_pairs(OURS, [crm("D1", label="DEMO")]) == {"demo": "D1"}

    def test_categories_must_agree(self) -> None:
        assert default_pairs(OURS, [crm("Demo", closed=True), crm("Closed Won")]) == {}

    def test_inactive_stages_are_not_paired(self) -> None:
        assert default_pairs(OURS, [crm("Demo", active=False)]) == {}

    def test_without_a_catalog_stages_are_paired_with_their_own_names(self) -> None:
        assert default_pairs(OURS, []) == {"demo": "Demo", "won": "Closed Won", "gone": "Walked Away"}

    def test_one_stage_of_the_crm_is_one_of_ours(self) -> None:
        twins = [PipelineStage("a", "Demo", Category.OPEN), PipelineStage("b", "demo", Category.OPEN)]
        assert default_pairs(twins, [crm("Demo")]) == {"a": "Demo"}

    def test_an_equal_api_name_goes_before_an_equal_label(self) -> None:
        assert default_pairs(OURS, [crm("D1", label="Demo"), crm("Demo", label="Show")]) == {"demo": "Demo"}


class TestCompleted:
    def test_a_pair_survives_a_new_label_here_and_there(self) -> None:
        renamed = [PipelineStage("demo", "Trial", Category.OPEN)]
        assert completed({"demo": "Demo"}, renamed, [crm("Demo", label="Show"), crm("Trial")]) == {"demo": "Demo"}

    def test_a_stage_that_is_gone_leaves_its_counterpart_to_another(self) -> None:
        after = [PipelineStage("show", "Demo", Category.OPEN)]
        assert completed({"demo": "Demo"}, after, CATALOG) == {"show": "Demo"}

    def test_a_pair_whose_categories_no_longer_agree_ends(self) -> None:
        assert completed({"demo": "Demo"}, [PipelineStage("demo", "Demo", Category.WON)], CATALOG) == {}

    def test_what_a_person_left_out_stays_out(self) -> None:
        assert completed({}, OURS, CATALOG, left_out={"demo"}) == {"won": "Closed Won"}

    def test_two_of_ours_never_share_a_stage(self) -> None:
        both = [PipelineStage("a", "Other", Category.OPEN), PipelineStage("demo", "Demo", Category.OPEN)]
        assert completed({"a": "Demo"}, both, CATALOG) == {"a": "Demo"}


class TestFaults:
    def test_a_sound_mapping_has_none(self) -> None:
        assert faults({"demo": "Demo", "won": "Closed Won", "gone": "Lost"}, OURS, CATALOG) == []

    def test_each_fault_has_its_code(self) -> None:
        catalog = [*CATALOG, crm("Old", active=False)]
        cases = {
            "stage_unknown": {"ghost": "Demo"},
            "crm_stage_unknown": {"demo": "Nowhere"},
            "crm_stage_inactive": {"demo": "Old"},
            "category_disagrees": {"demo": "Closed Won"},
            "crm_stage_taken": {"demo": "Demo", "won": "Demo"},
        }
        for code, pairs in cases.items():
            assert [fault.code for fault in faults(pairs, OURS, catalog)] == [code]

    def test_the_detail_names_both_sides(self) -> None:
        (fault,) = faults({"won": "Lost"}, OURS, CATALOG)
        assert fault.detail == "The stage 'won' is won, but the CRM has 'Lost' with IsClosed=True and IsWon=False."


def test_why_a_stage_has_no_counterpart() -> None:
    """Every stage has a counterpart or a reason."""
    asleep = PipelineStage("asleep", "Asleep", Category.OPEN)
    twin = PipelineStage("twin", "DEMO", Category.OPEN)
    walked = PipelineStage("lost", "Lost", Category.OPEN)
    catalog = [*CATALOG, crm("Asleep", active=False)]
    stages = [*OURS, asleep, twin, walked]
    pairs = default_pairs(stages, catalog)
    found = lacking(pairs, stages, catalog)
    assert {each.stage_key: each.code for each in found} == {
        "gone": "crm_stage_missing",
        "asleep": "crm_stage_inactive",
        "twin": "crm_stage_taken",
        "lost": "category_disagrees",
    }
    assert pairs.keys() | {each.stage_key for each in found} == {each.key for each in stages}
    assert "'Walked Away'" in found[0].detail
    assert lacking({}, stages, []) == []


def test_a_map_reads_both_ways() -> None:
    found = StageMap({"demo": "Demo"})
    assert (found.crm_stage("demo"), found.stage_key("Demo")) == ("Demo", "demo")
    assert (found.crm_stage("won"), found.stage_key("Closed Won")) == (None, "")


class TestEnding:
    def test_a_close_says_how_and_why(self) -> None:
        assert ending(OURS, "gone", "demo", "PRICE") == Ending("abandoned", "PRICE")
        assert ending(OURS, "won", "demo", "") == Ending("won", "")

    def test_opening_again_takes_both_back(self) -> None:
        assert ending(OURS, "demo", "gone", "") == Ending("", "")

    def test_a_move_among_open_stages_says_nothing_of_an_end(self) -> None:
        assert ending(OURS, "demo", "", "") is None


def test_health_compares_the_stage_with_the_earned_one() -> None:
    stages = [PipelineStage("first", "First", Category.OPEN), *OURS]
    assert health(stages, "demo", "first") == "Ahead of its evidence"
    assert health(stages, "first", "demo") == "Behind its evidence"
    assert health(stages, "demo", "demo") == "Supported by evidence"
    assert health(stages, "won", "demo") == health(stages, "demo", "ghost") == ""
