"""Whatever is accepted here fits into the fields of the org."""

import json
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, localcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest
from crm_connector.domain.writes import AnswerLine, AnswerType, CrmWrite, Ending, Evidence, QuestionText, StageWrite
from crm_connector.salesforce import graph, widths
from crm_connector.salesforce.objects import STANDARD
from forms.widths import NumberWidth, TextWidth, characters
from hypothesis import given
from hypothesis import strategies as st
from sandbox.salesforce import schema
from sandbox.salesforce.clock import Clock
from sandbox.salesforce.composite import Writer, run_graphs
from sandbox.salesforce.events import EventWriter
from sandbox.salesforce.faults import Faults
from sandbox.salesforce.founding import ADMIN_USERNAME, found, user_named
from sandbox.salesforce.store import Org, Transaction

BASE = "/services/data/v67.0"


@pytest.mark.parametrize(
    ("name", "table"),
    [("Opportunity", widths.SUBJECT), ("Lead", widths.SUBJECT), ("Account", widths.SUBJECT),
     ("Stagecraft_Assessment__c", widths.ASSESSMENT), ("Stagecraft_Answer__c", widths.ANSWER)],
)  # fmt: skip
def test_the_widths_are_those_of_the_org(name: str, table: dict[str, Any]) -> None:
    described = schema.find_object(name)
    assert described is not None
    for field_name, width in table.items():
        field = described.find(field_name)
        assert field is not None, field_name
        if isinstance(width, TextWidth):
            assert width.length == field.length, field_name
        else:
            assert (width.digits, width.decimals) == (field.precision, field.scale), field_name


texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1)


def long(alphabet: str, longest: int) -> st.SearchStrategy[str]:
    """Texts around the lengths where fields end, also of characters that UTF-16 counts twice."""
    lengths = st.sampled_from([1, 79, 80, 81, 100, 254, 255, 256, longest - 1, longest])
    return st.builds(lambda letter, length: (letter * length)[:longest], st.sampled_from(alphabet), lengths)


keys = st.one_of(st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}", fullmatch=True), long("aB", 100))
words = st.one_of(texts, long("a\u00e9\u4e2d\U0001f600", 10_000), st.just("@{opportunity.id}" * 20))
numbers = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**25), max_value=10**25),
    st.sampled_from([Decimal(text) for text in (
        "99999", "99999.99995", "100000", "9999999.99", "9999999.995", "10000000", "99999999999999.9999",
        "100000000000000", "1e25", "-1e15", "0.00001",
    )]),
)  # fmt: skip


@st.composite
def lines(draw: st.DrawFn) -> AnswerLine:
    kind = draw(st.sampled_from(AnswerType))
    value: Any = draw(
        {
            AnswerType.CHOICE: keys,
            AnswerType.CHOICES: st.lists(keys, max_size=5).map(tuple),
            AnswerType.NUMBER: numbers.map(lambda number: f"{number:f}"),
            AnswerType.TEXT: words,
            AnswerType.BOOLEAN: st.booleans(),
        }[kind]
    )
    return AnswerLine(draw(keys), kind, value, draw(numbers), draw(numbers))


@st.composite
def evidence(draw: st.DrawFn) -> Evidence:
    answers = draw(st.lists(lines(), max_size=6, unique_by=lambda line: line.question_key.casefold()))
    return Evidence(
        submission_id=draw(st.one_of(st.uuids().map(str), words.map(lambda text: text[:300]))),
        assessment_key=draw(keys),
        assessment_version=draw(st.integers(1, 2**31 - 1)),
        stage_key=draw(keys),
        score=draw(st.none() | numbers),
        score_max=draw(numbers),
        percent=draw(st.none() | numbers),
        complete=draw(st.booleans()),
        submitted_by=draw(
            st.sampled_from(["rep-1", "005" + "a" * 12 + "AAB", "005!!!!!!!!!!!!", "005" + "\u00e9" * 12])
        ),
        captured_at=draw(st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1))).replace(tzinfo=UTC),  # noqa: DTZ001
        answers=tuple(answers),
    )


@pytest.fixture(scope="module")
def opened() -> tuple[Org, Writer, str]:
    """A simulated org without a process of its own, and an opportunity in it."""
    journal = cast("Any", SimpleNamespace(submit=lambda entry: None))
    org = Org(Clock(), journal, EventWriter(None))
    found(org)
    user = user_named(org, ADMIN_USERNAME)
    assert user is not None
    own = Transaction(org, user=user["Id"], origin="")
    fields = {"Name": "Deal", "StageName": "Prospecting", "CloseDate": "2027-03-31"}
    opportunity_id = own.insert(schema.OPPORTUNITY, fields)
    org.commit(own)
    return org, Writer(user["Id"], "test"), opportunity_id


@given(evidence(), st.data())
def test_the_org_accepts_whatever_was_accepted_here(
    opened: tuple[Org, Writer, str], handed_in: Evidence, data: st.DataObject
) -> None:
    org, writer, opportunity_id = opened
    questions = {
        line.question_key: QuestionText(data.draw(words), {key: data.draw(words) for key in _choices(line)})
        for line in handed_in.answers
    }
    stage = StageWrite("Discovery", "", data.draw(words), data.draw(words), Ending(data.draw(words), data.draw(words)))
    write = CrmWrite("w", opportunity_id, stage, handed_in, questions, sync_error=data.draw(words))
    result = run_graphs(org, writer, graph.payload([write], BASE, STANDARD), Faults())
    assert result["graphs"][0]["isSuccessful"], result


def _choices(line: AnswerLine) -> list[str]:
    return list(line.value) if isinstance(line.value, tuple) else [str(line.value)][: line.type is AnswerType.CHOICE]


class TestText:
    @given(words, st.integers(1, 300))
    def test_a_shortened_text_fits_and_is_as_long_as_it_may_be(self, text: str, length: int) -> None:
        width = TextWidth(length)
        short = width.shortened(text)
        assert characters(short) == len(short.encode("utf-16-le")) // 2 <= length
        assert short == text or (short.endswith("\u2026") and characters(short) >= length - 1)
        assert text.startswith(short.removesuffix("\u2026"))


class TestNumber:
    @given(numbers, st.integers(1, 18), st.integers(0, 4))
    def test_what_it_holds_is_within_its_digits_once_rounded(self, number: Decimal, digits: int, decimals: int) -> None:
        decimals = min(decimals, digits)
        bound = Decimal(10) ** (digits - decimals)
        with localcontext(prec=60, rounding=ROUND_HALF_UP):
            rounded = number.quantize(Decimal(1).scaleb(-decimals))
        assert NumberWidth(digits, decimals).holds(number) == (abs(rounded) < bound)


def test_what_does_not_fit_is_in_the_copy_with_a_note() -> None:
    line = AnswerLine("budget", AnswerType.NUMBER, "1" + "0" * 18, Decimal(100_000), Decimal(200_000))
    handed_in = Evidence(
        "s1", "a", 1, "demo", Decimal(10**7), Decimal(10**8), None, True, "r", datetime.now(UTC), (line,)
    )
    (found,) = graph.payload([CrmWrite("w", "006A", None, handed_in, {})], BASE, STANDARD)["graphs"]
    opportunity, assessment, answer = (node["body"] for node in found["compositeRequest"])
    # An old score would be taken for the new one.
    assert opportunity["Stagecraft_Score__c"] is None
    assert (assessment["Score__c"], assessment["Result__c"]) == (None, "10000000 of 100000000")
    assert (answer["Value_Number__c"], answer["Value_Text__c"]) == (None, line.value)
    assert (answer["Score__c"], answer["Weight__c"]) == (100_000, None)
    note = f"Weight__c cannot hold 200000; Value_Number__c cannot hold {line.value}"
    assert json.loads(assessment["Answers_Json__c"])[0]["note"] == note
