"""The two pure hot paths beside the least that could do the same."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from importlib.resources import files

from forms.check import visible_questions
from forms.definition import form_from_json
from scoring.domain.profile import profile_from_json
from scoring.domain.reach import survey
from scoring.domain.score import score
from stage_engine.domain.decide import decide
from stage_engine.domain.document import from_document
from stage_engine.domain.inputs import Observation, Occasion, Submission
from stage_engine.engine import compiled, decision_table
from zen import ZenEngine

SLICES = 40
SLICE_SECONDS = 0.025


def side_by_side(ours: Callable[[], object], reference: Callable[[], object]) -> tuple[float, float]:
    """How often a second of CPU time each completes, over about a second for each: in turn and in slices, because
    a shared machine's speed changes within seconds."""
    acts = (ours, reference)
    done, spent = [0, 0], [0.0, 0.0]
    for act in acts:
        act()
    for _ in range(SLICES):
        for place, act in enumerate(acts):
            began = time.process_time()
            while (passed := time.process_time() - began) < SLICE_SECONDS:
                for _ in range(50):
                    act()
                done[place] += 50
            spent[place] += passed
    return done[0] / spent[0], done[1] / spent[1]


NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)


def decisions() -> tuple[float, float]:
    """Decisions a second with trace, explanation and margins, and the raw engine with trace on the same table."""
    document = json.loads((files("stage_engine") / "templates/field_example.json").read_text())
    pipeline = from_document(document, 1)
    rules = compiled(pipeline)
    observation = Observation(
        "c1", "o1", Occasion.IMPORTED, "prospecting", "Prospecting", Decimal(1000), "", "r", "", NOW
    )
    seen = decide(None, observation, rules, NOW).opportunity
    short = Submission(
        "s1",
        "o1",
        "prospecting",
        Decimal(50),
        "prospecting",
        1,
        1,
        NOW,
        NOW,
        "p1",
        1,
        "r",
        (("hours", Decimal(20)),),
        (),
        True,
    )
    table = decision_table(rules.tables["prospecting"])
    engine = ZenEngine({"loader": {"type": "static", "content": {"t@1": table}}})
    fields = {column["name"]: column["field"] for column in table["nodes"][1]["content"]["inputs"]}
    context = json.dumps({fields["prospecting.score"]: 50})
    return side_by_side(
        lambda: decide(seen, short, rules, NOW), lambda: engine.evaluate("t@1", context, {"trace": True})
    )


def scores() -> tuple[float, float]:
    """Submissions scored a second with contributions and trace, and a loop that only adds points up."""
    form = form_from_json(json.loads((files("assessment") / "templates/discovery.json").read_text()), 1)
    document = json.loads((files("scoring") / "templates/discovery.json").read_text())
    plan = survey(form, profile_from_json("discovery", 1, document["profile"])).plan
    answers = {
        question.key: question.choices[0].key for question in form.questions if question.type.value == "single_choice"
    }
    visible = visible_questions(form, answers)
    points = {(key, choice): 10 for key, choice in answers.items()}
    return side_by_side(
        lambda: score(plan, visible, answers),
        lambda: sum(points.get((key, answers.get(key, "")), 0) for key in visible),
    )
