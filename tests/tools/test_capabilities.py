"""The list of capabilities and the markers of the tests that show them."""

from pathlib import Path

import pytest

from tools.capabilities import BadMarker, Capability, all_marked, capabilities, complaints, document, marked

KNOWN = [Capability(1, "SE", "M", "Funnels"), Capability(2, "SE", "M", "A default")]


def written(folder: Path, text: str, name: str = "tests/stage-engine/test_it.py") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_the_list_is_whole() -> None:
    assert [each.number for each in capabilities()] == list(range(1, 115))


def test_every_marker_is_on_a_test_that_can_show_what_it_names() -> None:
    assert complaints(capabilities(), all_marked()) == []


def test_a_capability_is_shown_by_each_test_that_names_it(tmp_path: Path) -> None:
    written(
        tmp_path,
        "pytestmark = pytest.mark.stack\nclass TestA:\n  @pytest.mark.capability(2)\n  async def test_one(self): ...\n",
    )
    written(tmp_path, "@pytest.mark.capability(2)\ndef test_two(): ...\n", "tests/e2e/test_all.py")
    found = all_marked(tmp_path)
    assert complaints(KNOWN, found) == []
    page = document(KNOWN, found)
    assert "| 1 | Funnels | SE | M | – |" in page
    assert "[test_two](../tests/e2e/test_all.py)<br>[test_one](../tests/stage-engine/test_it.py)" in page
    assert page.endswith("\n1 of 2 shown\n")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("@pytest.mark.stack\n@pytest.mark.capability(3)\ndef test_a(): ...\n", "names the capability 3"),
        ("@pytest.mark.capability(1)\ndef test_a(): ...\n", "shows no capability"),
        ("@pytest.mark.stack\n@pytest.mark.skip\n@pytest.mark.capability(1)\ndef test_a(): ...\n", "is skipped"),
    ],
)
def test_markers_that_show_nothing_are_refused(tmp_path: Path, text: str, complaint: str) -> None:
    (found,) = complaints(KNOWN, marked(written(tmp_path, text), tmp_path))
    assert complaint in found


@pytest.mark.parametrize(
    "text",
    [
        "pytestmark = pytest.mark.capability(1)\n",
        "@pytest.mark.capability(1)\nclass TestA:\n  def test_a(self): ...\n",
        "@pytest.mark.capability(1)\ndef helper(): ...\n",
        "@pytest.mark.capability('1')\ndef test_a(): ...\n",
        "@pytest.mark.capability()\ndef test_a(): ...\n",
        "@pytest.mark.capability\ndef test_a(): ...\n",
    ],
)
def test_markers_that_cannot_be_read_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadMarker):
        marked(written(tmp_path, text), tmp_path)
