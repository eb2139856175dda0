"""What the org acknowledged is there after a SIGKILL; a SIGTERM ends it cleanly."""

import asyncio
import contextlib
import signal

import httpx
from sandbox.salesforce.testing import RunningOrg


async def test_nothing_acknowledged_is_lost_by_a_kill(own_org: RunningOrg, own_api: httpx.AsyncClient) -> None:
    """Writers upsert while the process dies; every upsert they got a reply for must be there, whole."""
    body = {"Name": "x", "StageName": "Demo", "CloseDate": "2026-12-01"}
    opportunity = (await own_api.post("/sobjects/Opportunity", json=body)).json()["id"]
    acknowledged: dict[str, int] = {}
    busy = asyncio.Event()
    base = "/services/data/v67.0/sobjects"

    async def write(writer: int) -> None:
        for number in range(10_000):
            key = f"{writer}-{number}"
            nodes = [
                {
                    "method": "PATCH",
                    "url": f"{base}/Stagecraft_Assessment__c/External_Id__c/{key}",
                    "referenceId": "a",
                    "body": {"Opportunity__c": opportunity, "Score__c": number},
                },
                {
                    "method": "PATCH",
                    "url": f"{base}/Stagecraft_Answer__c/External_Id__c/{key}:q",
                    "referenceId": "q",
                    "body": {"Assessment__r": {"External_Id__c": key}},
                },
                {
                    "method": "PATCH",
                    "url": f"{base}/Opportunity/{opportunity}",
                    "referenceId": "o",
                    "body": {"NextStep": key},
                },
            ]
            reply = await own_api.post(
                "/composite/graph", json={"graphs": [{"graphId": "g", "compositeRequest": nodes}]}
            )
            if reply.json()["graphs"][0]["isSuccessful"]:
                acknowledged[key] = number
            if len(acknowledged) == 60:
                busy.set()

    writers = [asyncio.create_task(write(n)) for n in range(4)]
    await busy.wait()
    await asyncio.to_thread(own_org.stop, signal.SIGKILL)
    for writer in writers:
        with contextlib.suppress(httpx.TransportError):
            await writer
    await asyncio.to_thread(own_org.start)

    dump = await asyncio.to_thread(own_org.sim, "opportunities?id=" + opportunity, method="GET")
    (found,) = dump["opportunities"]
    kept = {a["External_Id__c"]: a for a in found["assessments"]}
    assert {key: kept[key]["Score__c"] for key in acknowledged} == acknowledged
    # A graph is whole or absent, also one whose reply was never sent.
    assert all(len(a["answers"]) == 1 for a in kept.values())
    assert found["NextStep"] in kept
    made = await own_api.post("/sobjects/Opportunity", json=body)
    assert made.json()["id"] > opportunity


async def test_a_second_start_changes_no_credentials(own_org: RunningOrg) -> None:
    before = {p.name: p.read_bytes() for p in own_org.credentials_dir.iterdir()}
    await asyncio.to_thread(own_org.kill_and_restart)
    assert {p.name: p.read_bytes() for p in own_org.credentials_dir.iterdir()} == before


async def test_lost_credentials_are_issued_anew(own_org: RunningOrg) -> None:
    before = own_org.client["client_id"]
    (own_org.credentials_dir / "client_secret").unlink()
    await asyncio.to_thread(own_org.kill_and_restart)
    assert own_org.client["client_id"] != before
    assert await asyncio.to_thread(own_org.token)


async def test_sigterm_ends_cleanly(own_org: RunningOrg) -> None:
    assert await asyncio.to_thread(own_org.stop) == 0
