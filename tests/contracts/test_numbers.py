"""Every number and every time of every API: one text for each value, and no time without its offset."""

import importlib
import json
from datetime import datetime
from decimal import Decimal
from types import UnionType
from typing import Annotated, Union, get_args, get_origin

import pytest
from fastapi.routing import APIRoute
from hypothesis import given
from hypothesis import strategies as st
from kit.numbers import plain
from pydantic import BaseModel, TypeAdapter

SERVICES = ("assessment", "scoring", "stage_engine", "crm_connector", "recommender")
NAIVE = '"2026-03-02T09:30:00"'
NUMBERS = {"5E+4": "50000", "1.2E+5": "120000", "0E+3": "0", "1E-7": "0.0000001", "-0.0": "0", "70.50": "70.5"}


def app_of(package):
    settings = importlib.import_module(f"{package}.settings").Settings(environment="test", crm_adapter="recording")
    return importlib.import_module(f"{package}.main").create(settings)


def routes_of(package):
    """Every operation, whatever router it was included with."""

    def walk(routes):
        for route in routes:
            if isinstance(route, APIRoute):
                yield route
            elif inner := getattr(getattr(route, "original_router", None), "routes", None):
                yield from walk(inner)

    return list(walk(app_of(package).routes))


def models_in(kind, seen):
    """Every model that a type mentions, however deep."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if kind not in seen:
            seen.add(kind)
            for field in kind.model_fields.values():
                models_in(field.annotation, seen)
    else:
        for part in get_args(kind):
            models_in(part, seen)
    return seen


def models_of(package):
    answers, bodies = set(), set()
    for route in routes_of(package):
        models_in(route.response_model, answers)
        for field in route.dependant.body_params:
            models_in(field.field_info.annotation, bodies)
    return answers, bodies


def leaves(kind, metadata=()):
    """The plain types within a type, each with the annotations around it."""
    if get_origin(kind) is Annotated:
        inner, *more = get_args(kind)
        yield from leaves(inner, (*more, *metadata))
    elif get_origin(kind) in (Union, UnionType, list, tuple, dict):
        for part in get_args(kind):
            yield from leaves(part, metadata if get_origin(kind) in (Union, UnionType) else ())
    else:
        yield kind, metadata


def fields_with(models, wanted):
    """The name of each field that holds such values, with an adapter of its type."""
    for model in models:
        for name, field in model.model_fields.items():
            for kind, metadata in leaves(field.annotation, tuple(field.metadata)):
                if kind is wanted:
                    yield f"{model.__name__}.{name}", TypeAdapter(Annotated[(kind, *metadata)] if metadata else kind)


def test_the_walk_finds_the_numbers_and_times_of_all_services():
    found = {package: models_of(package) for package in SERVICES}
    assert all(len(answers) > 5 for answers, _ in found.values())
    assert sum(len(list(fields_with(answers, Decimal))) for answers, _ in found.values()) > 25
    assert sum(len(list(fields_with(answers, datetime))) for answers, _ in found.values()) > 25


@pytest.mark.parametrize("package", SERVICES)
def test_every_number_of_an_answer_is_written_plainly(package):
    answers, _ = models_of(package)
    for name, adapter in fields_with(answers, Decimal):
        for number, text in NUMBERS.items():
            shown = json.loads(adapter.dump_json(Decimal(number)))
            assert shown == text, f"{name} shows {number} as {shown}"


@pytest.mark.parametrize("package", SERVICES)
def test_a_time_without_an_offset_is_refused(package):
    _, bodies = models_of(package)
    for name, adapter in fields_with(bodies, datetime):
        adapter.validate_json('"2026-03-02T09:30:00Z"')
        with pytest.raises(ValueError, match="timezone"):
            pytest.fail(f"{name} takes {adapter.validate_json(NAIVE)}")


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30))
def test_a_number_keeps_its_value_and_has_one_text(number):
    text = plain(number)
    assert "E" not in text and Decimal(text) == number
    assert text == plain(Decimal(text))
