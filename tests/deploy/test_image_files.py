"""What the Dockerfile says, and what a builder is sent."""

import subprocess
import sys
from pathlib import Path

import pytest

from tools.image.context import build_context
from tools.image.dockerfile import DockerfileError, expand, read

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy/Dockerfile"
SERVICES = sorted(folder.name for folder in (ROOT / "services").iterdir() if (folder / "pyproject.toml").exists())


def test_the_dockerfile_passes_its_linter() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_both_stages_have_the_same_pinned_slim_base() -> None:
    bases = {stage.base for stage in read(DOCKERFILE)}
    assert len(bases) == 1
    name, _, tag = bases.pop().partition(":")
    assert name == "python"
    assert tag.split("-")[0].count(".") == 2, "a whole version"
    assert "slim" in tag


def test_the_image_has_no_root_and_no_shell_between_signal_and_service() -> None:
    last = {instruction.keyword: instruction for instruction in read(DOCKERFILE)[-1].instructions}
    assert last["USER"].text == "10001:10001"
    assert last["ENTRYPOINT"].form() == ["python", "-m", "kit"]
    assert last["CMD"].form() == ["serve"]
    assert "RUN" not in last, "the last stage only copies"


def test_the_context_is_small_and_holds_every_service_and_nothing_private() -> None:
    context = build_context(ROOT)
    tops = {file.parts[0] for file in context.files}
    assert tops == {"pyproject.toml", "uv.lock", "libs", "services"}
    assert context.size_bytes < 4 * 1024**2
    names = {str(file) for file in context.files}
    for service in SERVICES:
        assert f"services/{service}/pyproject.toml" in names
        assert f"services/{service}/migrations/env.py" in names
    assert not [name for name in names if "/testing/" in name or "__pycache__" in name or name.endswith(".pyc")]


def test_the_last_matching_line_of_the_dockerignore_decides(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_text("# words\n*\n!keep/*/src\n!top.txt\n**/secret*\nkeep/b\n!keep/b/src/x.py\n")
    for name in ("top.txt", "keep/a/src/deep/x.py", "keep/a/other/x.py", "keep/a/src/secret.env", "other/x.py",
                 "keep/b/src/x.py", "keep/b/src/y.py"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("12345")
    context = build_context(tmp_path)
    assert sorted(map(str, context.files)) == ["keep/a/src/deep/x.py", "keep/b/src/x.py", "top.txt"]
    assert context.size_bytes == 15


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("FROM a\nVOLUME /x\n", "line 2: VOLUME is not supported"),
        ("RUN true\n", "line 1: RUN before the first FROM"),
        ("FROM a\nRUN true \\\n", "line 2: the last instruction does not end"),
        ("# nothing\n", "has no FROM"),
    ],
)
def test_a_dockerfile_is_refused_rather_than_followed_in_part(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "Dockerfile").write_text(text)
    with pytest.raises(DockerfileError, match=words):
        read(tmp_path / "Dockerfile")


def test_lines_are_joined_and_variables_replaced(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "ARG BASE=python:3\nFROM ${BASE} AS one\n"
        "RUN --mount=type=cache,target=/c \\\n  # why\n    first && \\\n    second\nFROM one\n"
    )
    one, two = read(tmp_path / "Dockerfile")
    assert (one.name, one.base, two.base) == ("one", "python:3", "one")
    assert one.instructions[0].flags == (("mount", "type=cache,target=/c"),)
    assert one.instructions[0].text == "first && second"
    assert expand("$A/${B}/${C:-d}", {"A": "1"}) == "1//d"
