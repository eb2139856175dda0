"""What is read from events, and what is refused."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from crm_connector.domain.fields import FactType, kept
from crm_connector.domain.observation import Effect, Facts, Known, ObservationKind, Occasion
from crm_connector.domain.stages import Category, MappedStage, PipelineStage
from crm_connector.domain.writes import QuestionText
from crm_connector.messages import read_evidence, read_pipeline, read_texts, record_observed
from crm_connector.records import OpportunityRecord
from kit.errors import InvalidEvent
from stagecraft.crm.v1.record_observed_pb2 import OBSERVATION_KIND_UPDATED

NOW = datetime(2026, 11, 22, 19, 0, 5, tzinfo=UTC)

AMOUNT, CLOSE_DATE = "opportunity.amount", "opportunity.close_date"


@pytest.mark.parametrize("score", ["seventy", "NaN", "Infinity", "1e"])
def test_numbers_that_are_none_are_refused(make: Any, score: str) -> None:
    with pytest.raises(InvalidEvent, match="bad_decimal: score"):
        read_evidence(make.scored("006A", score=score))


def test_a_pipeline(make: Any) -> None:
    found = read_pipeline(make.pipeline(3))
    assert (found.pipeline_key, found.version, found.name, found.is_default) == ("sales", 3, "Sales", True)
    assert found.stages[0] == PipelineStage("prospecting", "Prospecting", Category.OPEN)
    assert [stage.category for stage in found.stages[-2:]] == [Category.WON, Category.LOST]


def test_a_pipeline_without_a_key_or_with_an_unknown_category_is_refused(make: Any) -> None:
    with pytest.raises(InvalidEvent, match="missing_field: pipeline_key"):
        read_pipeline(make.pipeline(key=""))
    strange = make.pipeline()
    strange.stages[0].category = 99
    with pytest.raises(InvalidEvent, match="unknown_value: category"):
        read_pipeline(strange)


def test_the_texts_of_an_assessment(make: Any) -> None:
    found = read_texts(make.assessment())
    assert (found.assessment_key, found.version, found.title) == ("prospecting", 1, "Prospecting")
    assert found.questions["tools"] == QuestionText("Which tools?", {"sheets": "Sheets", "crm": "CRM"})


@pytest.mark.parametrize(
    ("amount", "text"), [(None, ""), (Decimal("1234.50"), "1234.5"), (Decimal(50000), "50000"), (Decimal("0E+2"), "0")]
)
def test_an_observation(amount: Decimal | None, text: str) -> None:
    fields = {CLOSE_DATE: "date:2027-03-31", AMOUNT: kept(amount, FactType.MONEY), "opportunity.currency": "text:EUR"}
    facts = Facts("Demo", "005A", fields)
    record = OpportunityRecord(
        "006A", "opportunity", Known(facts), "sales", 1, "demo", stage_is_ours=False, sequence=2, updated_at=NOW,
        mapped_stages=(MappedStage("sales", 1, "demo"), MappedStage("renewals", 3, "")),
    )  # fmt: skip
    effect = Effect(record.known, ObservationKind.UPDATED, ("stage", AMOUNT))
    message = record_observed(record, facts, effect, Occasion("c1", NOW, "005B"))
    assert message.kind == OBSERVATION_KIND_UPDATED
    mapped = [(each.pipeline_key, each.pipeline_version, each.stage_key) for each in message.mapped_stages]
    assert (message.record_id, mapped) == ("006A", [("sales", 1, "demo"), ("renewals", 3, "")])
    assert (message.object_type, message.crm_stage, message.owner_id) == ("opportunity", "Demo", "005A")
    assert [(fact.name, fact.decimal or fact.date or fact.text, fact.currency) for fact in message.facts] == [
        (AMOUNT, text, "EUR" if text else ""), (CLOSE_DATE, "2027-03-31", ""), ("opportunity.currency", "EUR", ""),
    ]  # fmt: skip
    assert list(message.changed_facts) == ["opportunity.stage", AMOUNT]
    assert (message.change_id, message.changed_by) == ("c1", "005B")
    assert message.committed_at.ToDatetime(UTC) == NOW
