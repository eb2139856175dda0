"""The last screen: one opportunity's life, the pipeline, what was refused and missing, the optimism gap, the proof."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from sandbox.story.life import Chapter, Life
from sandbox.story.report import Report
from sandbox.story.screen import ticked

BAR_WIDTH = 14
INDENT = (0, 0, 0, 2)


def print_report(console: Console, report: Report, places: Mapping[str, str]) -> None:
    """The closing screen, for a reader who does not know the project. `places` are URLs by name."""
    console.print()
    for part in _parts(report, places):
        console.print(part)
    console.print()


def _parts(report: Report, places: Mapping[str, str]) -> Iterator[RenderableType]:
    if report.life is not None:
        yield _head("One opportunity, step by step")
        yield from _life(report.life)
    yield _head("The pipeline, before and after")
    yield Padding(_pipeline(report), INDENT)
    yield _head("The optimism gap: claims that run ahead of the evidence")
    yield Padding(_gap(report), INDENT)
    yield _head("What was missing, and what was refused")
    yield Padding(Group(_missing(report), _refusals(report)), INDENT)
    yield _head("Three processes, told with moments of the last months")
    findings = [words for told in report.processes for words in told.findings]
    yield Padding(ticked([(told.came_out, told.name, told.line) for told in report.processes], findings), INDENT)
    yield _head("Does it all agree?")
    yield Padding(_proof(report), INDENT)
    yield _head("Where to look")
    yield Padding(_places(places), INDENT)


def _head(words: str) -> RenderableType:
    return Group(Text(""), Rule(Text(words, "bold"), align="left", style="bright_black"))


def _life(life: Life) -> Iterator[RenderableType]:
    yield Padding(
        Text.assemble(
            (life.opportunity_name, "bold cyan"),
            f"  {_money(life.amount)}, owned by {life.rep_name}; Salesforce said ",
            (life.claimed, "bold"),
            ".",
        ),
        INDENT,
    )
    for number, chapter in enumerate(life.chapters, start=1):
        yield Padding(_chapter(number, chapter), INDENT)
    yield Padding(_record(life), INDENT)


def _chapter(number: int, chapter: Chapter) -> RenderableType:
    steps = Table.grid(padding=(0, 1))
    steps.add_column(justify="right", style="dim", width=9)
    steps.add_column(style="bold", width=11)
    steps.add_column(overflow="fold")
    answers = Table.grid(padding=(0, 2))
    answers.add_column(width=44)
    answers.add_column(width=21, style="cyan")
    answers.add_column(justify="right", width=5, no_wrap=True)
    for line in chapter.answers:
        # A text gives no points, but it is kept.
        points = f"{line.points}/{line.max_points}" if line.max_points != "0" else ""
        answers.add_row(line.question, line.answer, Text(points, "dim"))
    steps.add_row("0 ms", "Answers", Text(f"{number}. {chapter.assessment}", "bold"))
    steps.add_row("", "", answers)
    steps.add_row(_ms(chapter.scored_ms), "Score", f"{chapter.score} of {chapter.reachable} points")
    if chapter.accepted:
        verdict = Text.assemble(("passed", "green"), f": {chapter.rule}, margin +{chapter.margin.lstrip('+')}")
    else:
        # The engine's words may say it already.
        says_it = not chapter.margin or " short" in chapter.needed
        short = "" if says_it else f", {chapter.margin.lstrip('-')} points short"
        verdict = Text.assemble(("not enough", "yellow"), f": {chapter.needed}{short}")
    steps.add_row(_ms(chapter.decided_ms), "Decision", verdict)
    if chapter.accepted:
        steps.add_row("", "Stage", Text(f"{chapter.from_stage} → {chapter.to_stage}", "bold green"))
    if chapter.partner_ms is not None:
        steps.add_row(_ms(chapter.partner_ms), "Partner", "got the change as an event")
    what = "stage and answers" if chapter.accepted else "answers"
    steps.add_row(_ms(chapter.salesforce_ms), "Salesforce", f"confirmed the {what}")
    if chapter.advice:
        steps.add_row("", "Advice", Text(chapter.advice, "dim"))
    return Group(steps, Text(""))


def _record(life: Life) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    table.add_column(justify="right", style="dim", width=21)
    table.add_column()
    record = life.record
    table.add_row(
        "Salesforce now",
        f"{record['StageName']}, score {record.get('Stagecraft_Score__c', 0):g}, "
        f"assessments: {len(record['assessments'])}, "
        f"answers: {sum(len(each['answers']) for each in record['assessments'])}",
    )
    table.add_row("Salesforce id", life.opportunity_id)  # fmt: skip
    for name, value in life.ids:
        table.add_row(f"{name} id", value)
    table.add_row("one trace", f"{life.trace_id}")
    table.add_row("", Text("in: " + " → ".join(life.traced), "dim"))
    return table


def _pipeline(report: Report) -> RenderableType:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("Stage")
    for words in ("before", "value"):
        table.add_column(words, justify="right")
    table.add_column("after", justify="right", style="bold")
    table.add_column("value", justify="right")
    table.add_column("change", justify="right")
    table.add_column("")
    table.add_column("earned", justify="right")
    most = max((line.after for line in report.stages), default=1) or 1
    for line in report.stages:
        change = line.after - line.before
        table.add_row(
            line.name,
            f"{line.before:,}",
            _money(line.before_value),
            f"{line.after:,}",
            _money(line.after_value),
            Text(f"{change:+,}" if change else "·", "green" if change > 0 else "dim"),
            Text("█" * round(BAR_WIDTH * line.after / most), "cyan"),
            f"{line.earned:,}" if line.earned else "",
        )
    meaning = "earned: open opportunities by the stage that their evidence alone supports, whatever they claim"
    return Group(table, Text(f"\n{meaning}", "dim"))


def _gap(report: Report) -> RenderableType:
    gap = report.gap
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="bold", width=10)
    table.add_column()
    table.add_row(_money(gap.unproven_before), "claimed beyond the first stage before evidence was asked for")
    share = gap.unproven / gap.open_value if gap.open_value else 0
    table.add_row(
        _money(gap.unproven), f"is still claimed further than proven: {share:.0%} of the {_money(gap.open_value)} open"
    )
    table.add_row(
        Text(_money(gap.disproved), "bold yellow"), "of that was asked for evidence and could not give it: the real gap"
    )
    for name, found, asked in gap.reps:
        table.add_row("", Text(f"{name}: {found} of {asked} opportunities checked were ahead of their evidence", "dim"))
    return table


def _missing(report: Report) -> RenderableType:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("Fell short in")
    table.add_column("times", justify="right")
    table.add_column("points short (median)", justify="right")
    table.add_column("most often because of", overflow="fold")
    for line in report.missing:
        table.add_row(line.title, f"{line.count:,}", f"{line.points_short:g}", line.question)
    return table


def _refusals(report: Report) -> RenderableType:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("Refused")
    table.add_column("code", style="cyan")
    table.add_column("times", justify="right")
    table.add_column("in the service's words", overflow="fold")
    for line in report.refusals:
        table.add_row(line.what, line.code, f"{line.count:,}", Text(line.words, "dim"))
    decided = ", ".join(f"{count:,} {words}" for words, count in report.decided)
    return Group(
        Text(f"\nOf all submissions {decided}.\n"),
        table,
        Text(
            f"\nOffline submissions that arrived a second time and were recognised: {report.duplicates:,}. "
            f"Stages set by hand in Salesforce and kept: {report.edits:,}."
        ),
    )


def _proof(report: Report) -> RenderableType:
    verdict = report.verdict
    submissions = f"all {report.submissions:,} accepted submissions"
    rows = [
        (verdict.lost == 0, f"{submissions} were scored, decided and recorded in Salesforce ({verdict.lost} lost)"),
        (verdict.doubled == 0, f"none of it happened twice ({verdict.doubled} doubled)"),
        (
            verdict.salesforce_equal,
            f"Salesforce holds what the engine decided, for {report.opportunities:,} opportunities",
        ),
        (
            verdict.partner_exactly_once,
            f"the partner got every change exactly once and in order ({verdict.out_of_order} out of order)",
        ),
        (not report.mistaken, "everything that had to be refused was refused, and nothing else"),
    ]
    return Group(ticked(rows, [*verdict.findings, *report.mistaken]), Text(""), _speed(report))


def _speed(report: Report) -> RenderableType:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("From a rep's click")
    for words in ("p50", "p95", "p99"):
        table.add_column(words, justify="right")
    table.add_column("measured", justify="right")
    for words, latency in (("to the partner's event", report.to_partner), ("to Salesforce", report.to_salesforce)):
        moments = (_ms(latency.p50), _ms(latency.p95), _ms(latency.p99))
        table.add_row(words, *moments, f"{latency.count:,}")
    pace = (
        f"{report.submissions:,} submissions ({report.offline:,} of them offline), {report.stage_changes:,} stage "
        f"changes; {report.submissions_per_s:g} submissions and {report.events_per_s:g} events a second."
    )
    return Group(table, Text(f"\n{pace}"))


def _places(places: Mapping[str, str]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for name, url in places.items():
        table.add_row(Text(name, "bold"), Text(url, "cyan"))
    return table


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:,.0f} ms" if milliseconds < 10_000 else f"{milliseconds / 1000:.1f} s"


def _money(amount: float) -> str:
    for size, unit in ((1e9, "bn"), (1e6, "M"), (1e3, "k")):
        if amount >= size:
            return f"{amount / size:.1f} {unit}"
    return f"{amount:.0f}"
