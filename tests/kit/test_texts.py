"""Texts of a shape are refused in words; short ids of records are completed."""

from typing import Annotated

import pytest
from kit.http.texts import RecordId, Shape
from pydantic import BaseModel, ValidationError


class Given(BaseModel):
    """A request's body."""

    key: Annotated[str, Shape("[a-z]{1,3}", "A key has {1 to 3} small letters.")] = "abc"
    record: RecordId = ""


def test_a_text_of_another_shape_is_refused_in_words() -> None:
    with pytest.raises(ValidationError) as refused:
        Given(key="ABC")
    (error,) = refused.value.errors(include_url=False)
    assert (error["type"], error["msg"]) == ("bad_text", "A key has {1 to 3} small letters.")


def test_the_shape_is_documented() -> None:
    assert Given.model_json_schema()["properties"]["key"]["pattern"] == "^[a-z]{1,3}$"


def test_a_short_id_of_a_record_is_completed() -> None:
    assert Given(record="006Qy00000AbCdE").record == "006Qy00000AbCdEIAV"
