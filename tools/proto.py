"""Generate libs/contracts from proto/; with --check, say whether the committed files are in step."""

import argparse
import filecmp
import shutil
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
TARGET = ROOT / "libs/contracts/src"


def generate(target: Path) -> list[Path]:
    """Write the modules and type stubs of every .proto file below target; the paths written, relative to it."""
    sources = sorted(str(path.relative_to(PROTO)) for path in PROTO.glob("stagecraft/**/*.proto"))
    bundled = Path(str(protoc.__file__)).parent / "_proto"
    arguments = ["protoc", f"-I{PROTO}", f"-I{bundled}", f"--python_out={target}", f"--pyi_out={target}"]
    if protoc.main([*arguments, *sources]) != 0:
        raise SystemExit("protoc failed; its message is above")
    for folder in [target / "stagecraft", *(p for p in (target / "stagecraft").rglob("*") if p.is_dir())]:
        if folder.name != "__pycache__":
            (folder / "__init__.py").touch()
    (target / "stagecraft/py.typed").touch()
    return sorted(p.relative_to(target) for p in target.rglob("*") if p.is_file() and p.suffix != ".pyc")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: python tools/proto.py --check")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when a file is out of step")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        wanted = generate(fresh)
        present = sorted(p.relative_to(TARGET) for p in TARGET.rglob("*") if p.is_file() and p.suffix != ".pyc")
        stale = sorted(
            {p for p in wanted if not (TARGET / p).exists() or not filecmp.cmp(fresh / p, TARGET / p, False)}
            | set(present) - set(wanted)
        )
        if check and stale:
            sys.stderr.write("out of step with proto/, run `make proto`:\n")
            sys.stderr.writelines(f"  {TARGET.relative_to(ROOT) / path}\n" for path in stale)
            return 1
        if not check:
            shutil.rmtree(TARGET / "stagecraft", ignore_errors=True)
            shutil.copytree(fresh / "stagecraft", TARGET / "stagecraft")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
