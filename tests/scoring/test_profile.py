"""A profile as a value."""

import dataclasses
import json

from scoring.domain.profile import (
    Section,
    SectionFunction,
    UnansweredPolicy,
    profile_from_json,
    profile_to_json,
)

from tests.scoring.examples import PROFILE, D


def test_profile_survives_json() -> None:
    profile = dataclasses.replace(
        PROFILE,
        sections=(Section("s", SectionFunction.MEAN, ("single",)),),
        unanswered=UnansweredPolicy.DEFAULT,
        unanswered_points=D("1.5"),
        quantum=D("0.1"),
    )
    back = profile_from_json("f", 1, json.loads(json.dumps(profile_to_json(profile))))
    assert back == profile
    assert back.fingerprint == profile.fingerprint
