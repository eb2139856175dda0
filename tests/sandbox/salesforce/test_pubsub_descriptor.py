"""Our Pub/Sub proto against an independent distribution of Salesforce's."""

import subprocess
import sys
from pathlib import Path

from google.protobuf import descriptor_pb2

# Both files declare `eventbus.v1`, and one process can hold only one of them.
_DUMP = """
import sys, importlib
from google.protobuf import descriptor_pb2
module = importlib.import_module(sys.argv[1])
file = descriptor_pb2.FileDescriptorProto()
module.DESCRIPTOR.CopyToProto(file)
sys.stdout.buffer.write(file.SerializeToString())
"""


def _descriptor(module: str) -> descriptor_pb2.FileDescriptorProto:
    done = subprocess.run([sys.executable, "-c", _DUMP, module], capture_output=True, check=True)
    file = descriptor_pb2.FileDescriptorProto.FromString(done.stdout)
    # Names of files and options of other languages are not on the wire.
    file.ClearField("name")
    file.ClearField("options")
    for items in (file.message_type, file.enum_type):
        items.sort(key=lambda item: item.name)
    return file


def test_the_wire_is_the_published_one() -> None:
    assert _descriptor("pubsub_api.pubsub_api_pb2") == _descriptor("sfprotostash.pubsub_api_pb2")


def test_the_committed_stubs_are_what_the_proto_generates(tmp_path: Path) -> None:
    root = Path(__file__).parents[3] / "libs" / "pubsub"
    code = f"import sys; sys.path.insert(0, {str(root)!r}); import generate; from pathlib import Path; "
    code += f"sys.exit(generate.generate(Path({str(tmp_path)!r})))"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    for fresh in (tmp_path / "pubsub_api").iterdir():
        assert (root / "src" / "pubsub_api" / fresh.name).read_text() == fresh.read_text()
