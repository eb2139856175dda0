"""What schemathesis makes of every service's OpenAPI document: no server error, every answer as documented.

`make test` sends a few dozen cases to each operation, always the same ones; `make fuzz CASES=20000` as many to each
service, always others."""

import asyncio
import os
import sys
from collections import Counter
from typing import Any

import httpx
import pytest
import pytest_asyncio
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import CHECKS
from schemathesis.core.failures import FailureGroup

from tests.security.attacks.belongings import OWNER, belongings
from tests.security.conftest import PACKAGES, started

# schemathesis draws its ids from `random` inside strategies.
pytestmark = [pytest.mark.stack, pytest.mark.filterwarnings("ignore:Do not use the `random` module")]

CASES = int(os.environ.get("FUZZ_CASES", "0"))
PER_OPERATION = 3
PARTS = ("method", "url", "params", "headers", "json", "data")
NAMES = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
)


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=PACKAGES)
async def service(request, start_service):
    """Each service in turn, one of this file's own: thousands of requests leave nothing as it was."""
    return await started(start_service, request.param)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def belonging(service):
    """What is attacked in it."""
    return await belongings(service)


@st.composite
def requests(draw: st.DrawFn, operation: Any, known: dict[str, Any]) -> Any:
    """A request that fits the schema, or one that does not; half of them for something that exists."""
    mode = draw(st.sampled_from([schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]))
    case = draw(operation.as_strategy(generation_mode=mode))
    if draw(st.booleans()):
        case.path_parameters = {name: known.get(name, value) for name, value in (case.path_parameters or {}).items()}
    if draw(st.booleans()) and "if-match" in {header.name.lower() for header in operation.headers}:
        case.headers = {**(case.headers or {}), "if-match": '"1"'}
    return case


async def test_every_answer_is_as_documented(service, belonging):
    schema = schemathesis.openapi.from_dict(service.app.openapi())
    operations = [found.ok() for found in schema.get_all_operations()]
    operations = [operation for operation in operations if operation.path.startswith("/v1/")]
    checks = [CHECKS.get_one(name) for name in NAMES]
    loop = asyncio.get_running_loop()
    headers = service.headers(OWNER)
    examples = -(-CASES // len(operations)) if CASES else PER_OPERATION
    answers: Counter[int] = Counter()
    found: dict[tuple[str, str], str] = {}

    def send(case: Any) -> httpx.Response:
        wanted = case.as_transport_kwargs(base_url="http://test")
        wanted = {
            name: wanted[name] for name in ("method", "url", "params", "headers", "json", "data") if name in wanted
        }
        body = wanted.pop("data", None)
        if body is not None:
            wanted["content"] = body if isinstance(body, bytes | str) else str(body)
        wanted["headers"] = {**wanted["headers"], **headers}
        return asyncio.run_coroutine_threadsafe(service.client.request(**wanted), loop).result(60)

    def attack(operation: Any) -> None:
        @settings(
            max_examples=examples,
            derandomize=not CASES,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        @given(case=requests(operation, belonging))
        def each(case: Any) -> None:
            answer = send(case)
            answers[answer.status_code] += 1
            try:
                case.validate_response(answer, checks=checks)
            except FailureGroup as group:
                # What a service holds changes from case to case, so nothing is shrunk: the first of each kind is shown.
                for failure in group.exceptions:
                    asked = f"{answer.request.method} {answer.request.url} {answer.request.content[:300]!r}"
                    found.setdefault(
                        (operation.label, type(failure).__name__), f"{failure}\n  {asked}\n  {answer.text[:300]}"
                    )

        each()

    for operation in operations:
        await asyncio.to_thread(attack, operation)
    counts = ", ".join(f"{status}: {count:,}" for status, count in sorted(answers.items()))
    sys.stdout.write(
        f"{answers.total():,} cases to {service.settings.service}, {len(operations)} operations; answers {counts}\n"
    )
    assert found == {}, "\n".join(f"{label}: {failure}" for (label, _), failure in found.items())
    assert {2, 4} <= {status // 100 for status in answers}, answers
