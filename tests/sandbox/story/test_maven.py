"""Reading the public CRM data set as a world."""

import os
from collections import Counter
from datetime import date
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

import pytest
from sandbox.story.behaviour import plan_story
from sandbox.story.maven import FILES, DataSetNotFound, read_world
from sandbox.story.world import World

REPOSITORY = Path(__file__).parents[3]
FOLDER = Path(os.environ.get("STAGECRAFT_SHARED_DATA") or REPOSITORY.parent / "shared" / "data") / "maven_crm"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A folder with one opportunity of each kind."""
    (tmp_path / "sales_pipeline.csv").write_text(
        "opportunity_id,sales_agent,product,account,deal_stage,engage_date,close_date,close_value\n"
        "AAAA,Ann Lee,GTXPro,Acme,Won,20-10-16,01-03-17,4514\n"
        "BBBB,Ann Lee,MG Special,Acme,Lost,25-10-16,11-03-17,0\n"
        "CCCC,Bob May,MG Special,,Prospecting,,,\n"
        "DDDD,Bob May,GTXPro,Acme,Engaging,03-11-16,,\n"
    )
    (tmp_path / "accounts.csv").write_text(
        "account,sector,year_established,revenue,employees,office_location,subsidiary_of\n"
        "Acme,technolgy,1996,1100.04,2822,Philipines,\n"
    )
    (tmp_path / "products.csv").write_text("product,series,sales_price\nGTX Pro,GTX,4821\nMG Special,MG,55\n")
    (tmp_path / "sales_teams.csv").write_text(
        "sales_agent,manager,regional_office\nAnn Lee,Mo Do,Central\nBob May,Mo Do,East\n"
    )
    return tmp_path


class TestSmallSet:
    def test_opportunities_with_their_stages_dates_and_values(self, small: Path) -> None:
        opportunities = {opportunity.key: opportunity for opportunity in read_world(small, 1).opportunities}
        assert [opportunity.claimed for opportunity in opportunities.values()] == [
            "closed_won",
            "closed_lost",
            "prospecting",
            "discovery",
        ]
        assert (opportunities["AAAA"].created_on, opportunities["AAAA"].close_on) == (
            date(2016, 10, 20),
            date(2017, 3, 1),
        )
        assert opportunities["AAAA"].amount == Decimal("4514.00")
        assert opportunities["BBBB"].amount == Decimal("55.00")
        assert opportunities["DDDD"].amount == Decimal("4821.00")
        assert (opportunities["CCCC"].account_key, opportunities["CCCC"].name) == ("", "MG Special (CCCC)")
        assert opportunities["CCCC"].close_on == date(2017, 3, 11)
        assert opportunities["AAAA"].name == "Acme – GTX Pro"
        assert opportunities["AAAA"].rep_key == "ann.lee"

    def test_what_was_mended_is_noted(self, small: Path) -> None:
        world = read_world(small, 1)
        assert world.accounts[0].industry == "technology"
        assert world.accounts[0].country == "Philippines"
        assert world.accounts[0].revenue == Decimal(1_100_040_000)
        assert "2 × GTXPro read as GTX Pro" in world.notes
        assert "1 × technolgy read as technology" in world.notes
        assert "1 × Philipines read as Philippines" in world.notes

    def test_a_folder_without_the_files_is_refused_by_name(self, small: Path) -> None:
        (small / "products.csv").unlink()
        with pytest.raises(DataSetNotFound, match=r"products\.csv"):
            read_world(small, 1)


@lru_cache(1)
def whole_set() -> World:
    return read_world(FOLDER, 1)


@pytest.mark.skipif(not all((FOLDER / name).is_file() for name in FILES), reason=f"no data set in {FOLDER}")
class TestWholeSet:
    @pytest.fixture
    def world(self) -> World:
        return whole_set()

    def test_size_and_stages(self, world: World) -> None:
        assert len(world.opportunities) == 8800
        assert Counter(opportunity.claimed for opportunity in world.opportunities) == {
            "closed_won": 4238,
            "closed_lost": 2473,
            "discovery": 1589,
            "prospecting": 500,
        }

    def test_every_reference_is_kept(self, world: World) -> None:
        accounts, reps = {account.key for account in world.accounts}, {rep.key for rep in world.reps}
        assert {opportunity.account_key for opportunity in world.opportunities} - {""} <= accounts
        assert {opportunity.rep_key for opportunity in world.opportunities} <= reps
        assert len({rep.username for rep in world.reps}) == len(reps)

    def test_no_misspelling_is_left(self, world: World) -> None:
        assert "technolgy" not in {account.industry for account in world.accounts}
        assert not any("GTXPro" in opportunity.name for opportunity in world.opportunities)
        assert "1,480 × GTXPro read as GTX Pro" in world.notes

    def test_only_open_opportunities_get_work(self, world: World) -> None:
        opportunities = plan_story(world, 1).world.opportunities
        assert any(opportunity.attempts for opportunity in opportunities)
        assert not any(
            (opportunity.attempts or opportunity.reviews) and not opportunity.is_open for opportunity in opportunities
        )
