"""Writes the stubs in `src/pubsub_api` from `proto/pubsub_api.proto`."""

import sys
from pathlib import Path

from grpc_tools import protoc

HERE = Path(__file__).parent


def generate(target: Path) -> int:
    """Runs protoc into `target` and gives its exit code.

    The proto is mapped under the package's name, so that the generated modules import each other
    through the package and not as top-level modules.
    """
    code: int = protoc.main(
        [
            "protoc",
            f"-Ipubsub_api={HERE / 'proto'}",
            f"--python_out={target}",
            f"--grpc_python_out={target}",
            f"--pyi_out={target}",
            "pubsub_api/pubsub_api.proto",
        ]
    )
    # The gRPC plugin writes code that no type checker accepts, and no stub for it.
    services = target / "pubsub_api" / "pubsub_api_pb2_grpc.py"
    services.write_text("# pyright: basic, reportAttributeAccessIssue=false\n" + services.read_text())
    return code


if __name__ == "__main__":
    sys.exit(generate(HERE / "src"))
