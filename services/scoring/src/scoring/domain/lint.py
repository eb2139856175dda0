"""What is wrong or doubtful about a profile for its form. Pointers lead into the profile's JSON."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from forms.definition import CHOICE_TYPES, Form, Question, QuestionType
from forms.lint import Finding, Severity
from forms.widths import MAX_POINTS
from kit.numbers import plain

from scoring.domain.lint_gates import gate_findings
from scoring.domain.plan import adds_up
from scoring.domain.profile import (
    ZERO,
    Band,
    PercentOf,
    Profile,
    QuestionPoints,
    Scale,
    TotalOver,
    UnansweredPolicy,
)
from scoring.domain.reach import Reachable, Survey, survey
from scoring.domain.totals import LEAST_PERCENT

MAX_FINDINGS = 500


@dataclass(frozen=True, slots=True)
class Analysis:
    """Everything known of a profile before any answer comes; `reachable` is None while there are errors."""

    findings: list[Finding]
    reachable: Reachable | None

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity is Severity.ERROR]


def analyse(form: Form, profile: Profile) -> Analysis:
    """Check a profile against its form and work out what it can give. May take seconds for a large form."""
    findings = [*_question_entries(form, profile), *_sections(profile), *_coverage(form, profile)]
    if any(finding.severity is Severity.ERROR for finding in findings):
        return Analysis(_first(findings), None)
    surveyed = survey(form, profile)
    findings += [*_whole(surveyed), *gate_findings(surveyed)]
    analysis = Analysis(_first(findings), surveyed.reachable)
    return Analysis(analysis.findings, None) if analysis.errors else analysis


def too_complex(seconds: float) -> Analysis:
    """What is known of a profile that takes too long to analyse."""
    text = f"the profile cannot be checked within {seconds:g} seconds: use fewer questions that others depend on"
    return Analysis([_error("too_complex", "/questions", text)], None)


def _first(findings: list[Finding]) -> list[Finding]:
    """Errors first, and no more than a person reads."""
    ordered = sorted(findings, key=lambda finding: finding.severity is not Severity.ERROR)
    if len(ordered) <= MAX_FINDINGS:
        return ordered
    left_out = f"{len(ordered) - MAX_FINDINGS} more findings are left out: settle these first"
    return [*ordered[:MAX_FINDINGS], _warning("findings_omitted", "", left_out)]


def lint_profile(form: Form, profile: Profile) -> list[Finding]:
    """Errors forbid publishing, warnings do not."""
    return analyse(form, profile).findings


def _error(code: str, pointer: str, message: str) -> Finding:
    return Finding(Severity.ERROR, code, pointer, message)


def _warning(code: str, pointer: str, message: str) -> Finding:
    return Finding(Severity.WARNING, code, pointer, message)


def _question_entries(form: Form, profile: Profile) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, points in enumerate(profile.questions):
        pointer = f"/questions/{index}"
        if points.question_key in seen:
            yield _error("duplicate_question", pointer, f"{points.question_key!r} has points twice")
        seen.add(points.question_key)
        question = form.question(points.question_key)
        if question is None:
            yield _error("unknown_question", pointer, f"the assessment has no question {points.question_key!r}")
            continue
        yield from _misplaced(question, points, pointer)
        yield from _choices(question, points, pointer)
        yield from _numbers(question, points, pointer)
        if not all(MAX_POINTS.holds(number) for number in _all_points(points)):
            message = "the CRM holds points below 100,000; larger ones are only in its copy of all answers"
            yield _warning("too_large_for_crm", pointer, message)
        if any(number < 0 for number in _all_points(points)):
            yield _warning("negative_points", pointer, f"{points.question_key!r} can take points away")


def _all_points(points: QuestionPoints) -> Iterator[Decimal]:
    yield from points.choices.values()
    yield from (band.points for band in points.bands)
    yield points.points_if_true or ZERO
    yield points.points_if_false or ZERO


def _misplaced(question: Question, points: QuestionPoints, pointer: str) -> Iterator[Finding]:
    """Points of a kind the question's type has no use for."""
    if question.type is QuestionType.TEXT:
        yield _warning("text_has_no_points", pointer, "a text always gives 0 points")
    given = {
        "choices": bool(points.choices),
        "points_if_true": points.points_if_true is not None,
        "points_if_false": points.points_if_false is not None,
        "bands": bool(points.bands),
        "cap_points": points.cap_points is not None,
        "floor_points": points.floor_points is not None,
    }
    allowed = {
        QuestionType.SINGLE_CHOICE: {"choices"},
        QuestionType.MULTIPLE_CHOICE: {"choices", "cap_points", "floor_points"},
        QuestionType.NUMBER: {"bands"},
        QuestionType.BOOLEAN: {"points_if_true", "points_if_false"},
        QuestionType.TEXT: set[str](),
    }[question.type]
    for name, is_given in given.items():
        if is_given and name not in allowed:
            yield _error("wrong_kind_of_points", f"{pointer}/{name}", f"a {question.type.value} question has no {name}")
    cap, floor = points.cap_points, points.floor_points
    if cap is not None and floor is not None and cap < floor:
        yield _error("cap_below_floor", f"{pointer}/cap_points", "the cap is below the floor")


def _choices(question: Question, points: QuestionPoints, pointer: str) -> Iterator[Finding]:
    if question.type not in CHOICE_TYPES:
        return
    known = {choice.key for choice in question.choices}
    for index, key in enumerate(points.choices):
        if key not in known:
            yield _error(
                "unknown_choice",
                f"{pointer}/choices/{index}",
                f"the question {question.key!r} has no choice {key!r}",
            )
    for choice in question.choices:
        if choice.key not in points.choices:
            yield _warning("unscored_choice", f"{pointer}/choices", f"{choice.key!r} has no points and counts as 0")


def _numbers(question: Question, points: QuestionPoints, pointer: str) -> Iterator[Finding]:
    if question.type is not QuestionType.NUMBER:
        return
    if not points.bands:
        yield _warning("no_bands", f"{pointer}/bands", "no number gives points")
        return
    for index, band in enumerate(points.bands):
        if band.lower is not None and band.upper is not None and band.lower >= band.upper:
            yield _error("empty_band", f"{pointer}/bands/{index}", "the band holds no number")
            return
    ordered = sorted(points.bands, key=lambda band: (band.lower is not None, band.lower or ZERO))
    reach = ordered[0].upper
    yield from _outer_hole(question.minimum, ordered[0].lower, pointer)
    for before, band in pairwise(ordered):
        if reach is None or band.lower is None or band.lower < reach:
            yield _error("bands_overlap", f"{pointer}/bands", f"{_shared(before, band)} is in two bands")
            return
        if reach < band.lower:
            yield _warning("bands_leave_hole", f"{pointer}/bands", f"{plain(reach)} is in no band and gives 0")
        reach = band.upper
    if reach is not None and (question.maximum is None or reach <= question.maximum):
        yield _warning("bands_leave_hole", f"{pointer}/bands", f"{plain(reach)} is in no band and gives 0")


def _outer_hole(minimum: Decimal | None, lower: Decimal | None, pointer: str) -> Iterator[Finding]:
    if lower is None or (minimum is not None and minimum >= lower):
        return
    witness = lower - 1 if minimum is None else minimum
    yield _warning("bands_leave_hole", f"{pointer}/bands", f"{plain(witness)} is in no band and gives 0")


def _shared(first: Band, second: Band) -> str:
    if second.lower is not None:
        return plain(second.lower)
    uppers = [band.upper for band in (first, second) if band.upper is not None]
    return plain(min(uppers) - 1) if uppers else "every number"


def _sections(profile: Profile) -> Iterator[Finding]:
    scored = {points.question_key for points in profile.questions}
    placed: set[str] = set()
    keys: set[str] = set()
    for index, section in enumerate(profile.sections):
        pointer = f"/sections/{index}"
        if section.key in keys:
            yield _error("duplicate_section", f"{pointer}/key", f"there are two sections {section.key!r}")
        keys.add(section.key)
        if not section.question_keys:
            yield _error("empty_section", f"{pointer}/question_keys", "a section needs questions")
        for position, key in enumerate(section.question_keys):
            own = f"{pointer}/question_keys/{position}"
            if key not in scored:
                yield _error("unscored_question_in_section", own, f"{key!r} has no points in this profile")
            elif key in section.question_keys[:position]:
                yield _error("duplicate_question", own, f"{key!r} is twice in this section")
        placed |= set(section.question_keys)
    if profile.total_over is TotalOver.SECTIONS:
        if not profile.sections:
            yield _error("no_sections", "/sections", "a total over sections needs sections")
        for key in sorted(scored - placed):
            yield _warning("question_outside_sections", "/sections", f"the points of {key!r} count nowhere")


def _coverage(form: Form, profile: Profile) -> Iterator[Finding]:
    scored = {points.question_key for points in profile.questions}
    for question in form.questions:
        if question.type is not QuestionType.TEXT and question.key not in scored:
            yield _warning("unscored_question", "/questions", f"{question.key!r} has no points and gives 0")
    if profile.unanswered is not UnansweredPolicy.DEFAULT and profile.unanswered_points != 0:
        yield _error("default_unused", "/unanswered/points", "only the policy 'default' has points")


def _whole(surveyed: Survey) -> Iterator[Finding]:
    plan, found = surveyed.plan, surveyed.reachable
    profile, percent = plan.profile, plan.profile.scale is Scale.PERCENT
    if profile.minimum_answered > len(plan.scorers):
        yield _error(
            "never_complete",
            "/minimum_answered",
            f"only {len(plan.scorers)} questions can be answered for points",
        )
    elif found.maximum <= 0:
        yield _error("nothing_to_earn", "/questions", "no answers give more than 0 points")
    elif found.exact and found.minimum == found.maximum:
        yield _warning("always_the_same", "/questions", f"every submission scores {plain(found.minimum)}")
    if percent and not found.exact and profile.percent_of is PercentOf.PROFILE:
        text = f"100 percent is {plain(found.maximum)} points, which may be more than any answers can give"
        yield _warning("maximum_not_exact", "/scale", text)
    if percent and found.maximum > 0 and found.minimum * 100 / found.maximum < LEAST_PERCENT:
        text = f"the worst answers give {plain(found.minimum)} points, the best {plain(found.maximum)}"
        yield _error("percent_too_low", "/scale", f"{text}: no percentage may lie below {plain(LEAST_PERCENT)}")
    skips = profile.unanswered is UnansweredPolicy.SKIP and not adds_up(profile)
    if percent and skips and not profile.minimum_answered:
        text = "a section that skips unanswered questions can be at its best with a single answer: ask for more"
        yield _warning("one_answer_is_enough", "/minimum_answered", text)
