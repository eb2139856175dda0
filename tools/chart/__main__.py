"""Checks both Helm charts: whether they are in step with the code, lint, render, fit the schemas of two versions of
Kubernetes, agree with what was expected, and refuse what they should. Prints one line for each step, and the sizes."""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tools.chart import golden, sync
from tools.chart.cases import cases
from tools.chart.manifests import complaints, custom_schemas
from tools.chart.places import CRDS, INFRA, KUBERNETES, ROOT, STAGECRAFT, VARIANTS
from tools.chart.render import Refused, Rendered, lint, package, render
from tools.chart.sizes import sizes

_EXAMPLES = """examples:
  python -m tools.chart              check everything
  python -m tools.chart --update     renew the copies and what is expected, then check everything
  git diff tests/deploy/chart        read what an update changed, before you commit it"""


def main() -> int:
    """1 when something is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.chart",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_EXAMPLES,
    )
    parser.add_argument("--update", action="store_true", help="renew the made files and the expected manifests first")
    update = parser.parse_args().update
    failed = False
    rendered: dict[str, Rendered] = {}
    steps: list[tuple[str, Callable[[], tuple[str, list[str]]]]] = [
        ("in step", lambda: _in_step(update=update)),
        ("lint", _lint),
        ("render", lambda: _render(rendered)),
        *((f"kubernetes {version}", lambda v=version: _validate(rendered, v)) for version in KUBERNETES),
        ("expected", lambda: _expected(rendered, update=update)),
        ("refused", _refused),
        ("sizes", lambda: _sizes(rendered)),
    ]
    for name, step in steps:
        said, wrong = step()
        sys.stdout.write(f"{name:16} {'FAILED' if wrong else 'ok':7}{said}\n")
        sys.stdout.flush()
        sys.stderr.writelines(f"{line}\n" for line in wrong)
        failed = failed or bool(wrong)
        if wrong and name == "render":
            # Nothing is left to check.
            break
    return 1 if failed else 0


def _in_step(*, update: bool) -> tuple[str, list[str]]:
    made = sync.made_files()
    behind, stray = [one for one in made if not one.in_step], sync.left_over(made)
    if update:
        for one in behind:
            one.path.parent.mkdir(parents=True, exist_ok=True)
            one.path.write_text(one.text)
        for path in stray:
            path.unlink()
        return f"{len(made)} made files, {len(behind)} renewed, {len(stray)} removed", []
    remedy = "run `python -m tools.chart --update`"
    wrong = [f"{one.path.relative_to(ROOT)} is out of step: {remedy}" for one in behind]
    wrong += [f"{path.relative_to(ROOT)} has no original any more: {remedy}" for path in stray]
    return f"{len(made)} made files", wrong


def _lint() -> tuple[str, list[str]]:
    wrong = []
    for variant in VARIANTS:
        try:
            lint(variant)
        except Refused as refusal:
            wrong.append(f"{variant.name}: {refusal}")
    return f"{len(VARIANTS)} variants, strictly", wrong


def _render(rendered: dict[str, Rendered]) -> tuple[str, list[str]]:
    wrong = []
    for variant in VARIANTS:
        try:
            rendered[variant.name] = render(variant)
        except Refused as refusal:
            wrong.append(f"{variant.name}: {refusal}")
    counts = ", ".join(f"{name} {len(one.documents)}" for name, one in rendered.items())
    return f"manifests: {counts}", wrong


def _validate(rendered: dict[str, Rendered], version: str) -> tuple[str, list[str]]:
    wrong = [f"{name}: {line}" for name, one in rendered.items() for line in complaints(one.documents, version)]
    count = sum(len(one.documents) for one in rendered.values())
    custom = custom_schemas()
    note = f"custom resources by {len(custom)} schemas" if custom else f"custom resources NOT checked: no {CRDS.name}"
    return f"{count} manifests, {note}", wrong


def _expected(rendered: dict[str, Rendered], *, update: bool) -> tuple[str, list[str]]:
    differences = {variant: golden.difference(variant, rendered) for variant in VARIANTS}
    changed = [variant for variant, diff in differences.items() if diff]
    if update:
        for variant in changed:
            golden.file_of(variant).parent.mkdir(parents=True, exist_ok=True)
            golden.file_of(variant).write_text(golden.expected_text(variant, rendered))
        return f"{len(VARIANTS)} variants, {len(changed)} renewed", []
    return f"{len(VARIANTS)} variants", [diff for diff in differences.values() if diff]


def _refused() -> tuple[str, list[str]]:
    found = cases()
    return f"{len(found)} cases", [complaint for case in found if (complaint := case.complaint())]


def _sizes(rendered: dict[str, Rendered]) -> tuple[str, list[str]]:
    said, wrong = [], []
    for chart, variant in ((STAGECRAFT, "production"), (INFRA, "infra-dev")):
        with tempfile.TemporaryDirectory() as directory:
            found = sizes(chart, package(chart, Path(directory)), rendered[variant])
        archive, release, largest = (
            f"{size / 1000:.0f} kB" for size in (found.archive, found.release, found.config_map)
        )
        said.append(f"{chart.name}: archive {archive}, release about {release} of 1049 kB")
        if found.config_map:
            said.append(f"largest ConfigMap {found.config_map_name} {largest}")
        wrong += found.complaints
    return "; ".join(said), wrong


if __name__ == "__main__":
    raise SystemExit(main())
