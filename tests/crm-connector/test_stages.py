"""Which stage of ours is which of the CRM's."""

from crm_connector.domain.stages import Category, CrmStage, PipelineStage, StageMap, default_pairs, faults

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


def test_a_map_reads_both_ways() -> None:
    found = StageMap({"demo": "Demo"})
    assert (found.crm_stage("demo"), found.stage_key("Demo")) == ("Demo", "demo")
    assert (found.crm_stage("won"), found.stage_key("Closed Won")) == (None, "")
