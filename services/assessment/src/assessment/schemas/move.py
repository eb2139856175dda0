"""The move that a person asks for together with answers, as JSON."""

from typing import Annotated, Any, Self

from forms.check import storable
from kit.http.texts import refusal
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from assessment.domain.move import FactValue, Move, SuppliedFact

MAX_FACTS = 50
# Of all facts together: the events that carry them on have room for as much.
MAX_CHARACTERS = 20_000
MAX_REVISION = 2**63 - 1


def _storable(text: str) -> str:
    if not storable(text):
        raise refusal("bad_text", "The text must not contain U+0000 or half of a surrogate pair.")
    return text


# An item of a batch is judged alone, so its texts are checked here.
Text = Annotated[str, AfterValidator(_storable)]
Long = Annotated[Text, Field(max_length=2000)]


class FactBody(BaseModel):
    """A fact that the person knows. It counts together with the move, or not at all."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[Text, Field(min_length=1, max_length=140, examples=["account.industry"])]
    value: bool | Long | Annotated[list[Long], Field(max_length=200)] | None = Field(
        description="numbers, dates and instants as texts; null: it is not known"
    )

    def fact(self) -> SuppliedFact:
        """The domain's view of it."""
        value: FactValue = tuple(self.value) if isinstance(self.value, list) else self.value
        return SuppliedFact(self.name, value)


class MoveBody(BaseModel):
    """Where the person wants the opportunity, decided on together with the answers: the evidence has to support it. If
    it is refused, the answers count all the same."""

    model_config = ConfigDict(extra="forbid")

    to_stage: Annotated[Text, Field(min_length=1, max_length=64, examples=["discovery"])]
    expected_revision: int | None = Field(
        None, ge=1, le=MAX_REVISION, description="refused when the opportunity has another; null: in this visit, any"
    )
    reason_code: Annotated[Text, Field(max_length=64, description="needed to go back or give up")] = ""
    text: Annotated[Text, Field(max_length=2000)] = ""
    skip: bool = Field(False, description="agree to pass over open stages")
    facts: list[FactBody] = Field(default=[], max_length=MAX_FACTS)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len({fact.name for fact in self.facts}) < len(self.facts):
            raise refusal("fact_named_twice", "Name each fact once.")
        if sum(map(_length, self.facts)) > MAX_CHARACTERS:
            raise refusal("facts_too_large", f"All facts together have at most {MAX_CHARACTERS} characters.")
        return self

    def move(self) -> Move:
        """The domain's view of it."""
        return Move(
            self.to_stage,
            self.expected_revision,
            self.reason_code,
            self.text,
            self.skip,
            tuple(fact.fact() for fact in self.facts),
        )


def _length(fact: FactBody) -> int:
    value: Any = fact.value
    return len(fact.name) + (sum(map(len, value)) if isinstance(value, list | str) else 0)
