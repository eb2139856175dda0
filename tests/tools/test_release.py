"""What a release publishes besides its images: charts that name the images by digest, and lists of contents."""

import json
import tarfile
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.tags import Tag
from packaging.utils import parse_wheel_filename

from tools.chart.binaries import ToolMissing, binary
from tools.chart.places import SERVICES, STAGECRAFT
from tools.chart.render import helm
from tools.licences import locked, running
from tools.release import ReleaseError, make, pin, read_digests

ROOT = Path(__file__).parents[2]
REGISTRY = "registry.example/acme"
DIGESTS = {service: f"sha256:{number:064x}" for number, service in enumerate(SERVICES, start=1)}


@pytest.fixture
def digests(tmp_path: Path) -> Path:
    folder = tmp_path / "digests"
    folder.mkdir()
    for service, digest in DIGESTS.items():
        (folder / service).write_text(digest + "\n")
    return folder


def test_the_chart_of_a_release_runs_the_images_of_the_release(digests: Path, tmp_path: Path) -> None:
    try:
        binary("helm")
    except ToolMissing as missing:
        pytest.skip(str(missing))
    into = tmp_path / "dist"
    make("9.8.7", REGISTRY, digests, into)
    archive = into / "stagecraft-9.8.7.tgz"
    rendered = helm("template", "x", str(archive), "--values", str(STAGECRAFT / "values-dev.yaml"))
    images = {
        line.split("image: ")[1].strip('" ') for line in rendered.splitlines() if line.strip().startswith("image: ")
    }
    assert {f"{REGISTRY}/stagecraft-{service}@{digest}" for service, digest in DIGESTS.items()} <= images
    assert not [image for image in images if "stagecraft-" in image and "@sha256:" not in image]
    with tarfile.open(archive) as tar:
        shipped = tar.extractfile("stagecraft/values.yaml")
        assert shipped is not None
        comments = [line for line in shipped.read().decode().splitlines() if line.strip().startswith("#")]
    own = (STAGECRAFT / "values.yaml").read_text().splitlines()
    assert comments == [line for line in own if line.strip().startswith("#")]
    assert (into / "stagecraft-infra-9.8.7.tgz").exists()
    for service in SERVICES:
        listed = json.loads((into / f"stagecraft-{service}.cdx.json").read_text())
        assert listed["bomFormat"] == "CycloneDX"
        names = {component["name"] for component in listed["components"]}
        assert {"fastapi", "stagecraft-kit"} <= names
        assert not names & {"pytest", "stagecraft-sandbox"}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("scoring", "latest", "scoring holds no digest"),
        ("scoring", "sha256:" + "0" * 63, "scoring holds no digest"),
        ("console", "sha256:" + "0" * 64, "needs exactly the files"),
        ("scoring", "", "holds no digest"),
    ],
)
def test_a_digest_that_is_none_stops_the_release(digests: Path, name: str, content: str, words: str) -> None:
    (digests / name).write_text(content)
    with pytest.raises(ReleaseError, match=words):
        read_digests(digests)


def test_a_missing_service_stops_the_release(digests: Path) -> None:
    (digests / "recommender").unlink()
    with pytest.raises(ReleaseError, match="needs exactly the files"):
        read_digests(digests)


def test_values_of_another_form_are_refused_rather_than_published_without_digests() -> None:
    values = (STAGECRAFT / "values.yaml").read_text()
    pin(values, REGISTRY, DIGESTS)
    with pytest.raises(ReleaseError, match="another form"):
        pin(values.replace("  scoring: {}", '  "scoring": {}'), REGISTRY, DIGESTS)


def test_every_package_has_wheels_for_both_architectures() -> None:
    """The image has no compiler, so a package without a wheel could not be installed."""
    packages = locked()
    python = tomllib.loads((ROOT / "libs/kit/pyproject.toml").read_text())["project"]["requires-python"]
    assert python == ">=3.11", "the tags below are those of the oldest"
    for name in running(packages):
        files = [wheel["url"].rpartition("/")[2] for wheel in packages[name].get("wheels", [])]
        if not files and not packages[name].get("sdist"):
            continue
        tags = {tag for file in files for tag in parse_wheel_filename(file)[3]}
        for machine in ("x86_64", "aarch64"):
            assert [tag for tag in tags if _fits(tag, machine)], f"{name} has no wheel for {machine}"


def _fits(tag: Tag, machine: str) -> bool:
    """Whether Python 3.11 on Debian can use it; a stable ABI serves every later version."""
    minor = int(tag.interpreter.removeprefix("cp3") or 0) if tag.interpreter.startswith("cp3") else 99
    runs = "py3" in tag.interpreter or tag.interpreter == "cp311" or (tag.abi == "abi3" and minor <= 11)
    return runs and (tag.platform == "any" or (tag.platform.startswith("manylinux") and tag.platform.endswith(machine)))


def test_services_carry_the_version_of_the_project() -> None:
    """The release compares its tag with the project's version; `service_info` reports the service's."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {version(f"stagecraft-{service}") for service in SERVICES} == {project}
