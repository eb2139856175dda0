"""The two pure hot paths beside the least that could do the same."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from importlib.resources import files

from forms.check import visible_questions
from forms.definition import form_from_json
from scoring.domain.plan import compile_plan
from scoring.domain.profile import profile_from_json
from scoring.domain.score import score
from stage_engine.domain.decide import decide
from stage_engine.domain.document import from_document
from stage_engine.domain.inputs import Observation, Sight, Submission
from stage_engine.engine import compiled, decision_table
from zen import ZenEngine

SECONDS = 1.0


def per_second(act: Callable[[], object]) -> float:
    """How often a second the call completes, over about a second of CPU time."""
    act()
    began, done = time.process_time(), 0
    while (spent := time.process_time() - began) < SECONDS:
        for _ in range(50):
            act()
        done += 50
    return done / spent


NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)


def decisions() -> tuple[float, float]:
    """Decisions a second with trace, explanation and margins, and the raw engine with trace on the same table."""
    document = json.loads((files("stage_engine") / "templates/field_example.json").read_text())
    pipeline = from_document(document, 1)
    rules = compiled(pipeline)
    sight = Observation(
        "c1", "o1", Sight.IMPORTED, pipeline.key, "prospecting", "Prospecting", Decimal(1000), "", "r", "", NOW
    )
    seen = decide(None, sight, rules, NOW).instance
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
    )
    table = decision_table(rules.tables["prospecting"])
    engine = ZenEngine({"loader": {"type": "static", "content": {"t@1": table}}})
    fields = {column["name"]: column["field"] for column in table["nodes"][1]["content"]["inputs"]}
    context = json.dumps({fields["prospecting.score"]: 50})
    ours = per_second(lambda: decide(seen, short, rules, NOW))
    return ours, per_second(lambda: engine.evaluate("t@1", context, {"trace": True}))


def scores() -> tuple[float, float]:
    """Submissions scored a second with contributions and trace, and a loop that only adds points up."""
    form = form_from_json(json.loads((files("assessment") / "templates/discovery.json").read_text()), 1)
    document = json.loads((files("scoring") / "templates/discovery.json").read_text())
    plan = compile_plan(form, profile_from_json("discovery", 1, document["profile"]))
    answers = {
        question.key: question.choices[0].key for question in form.questions if question.type.value == "single_choice"
    }
    visible = visible_questions(form, answers)
    points = {(key, choice): 10 for key, choice in answers.items()}
    ours = per_second(lambda: score(plan, visible, answers))
    return ours, per_second(lambda: sum(points.get((key, answers.get(key, "")), 0) for key in visible))
