"""What the CRM's users are, kept in every service: who may see what follows from it (see kit.http.ownership)."""

import re
from collections.abc import Sequence

from stagecraft.crm.v1.person_observed_pb2 import PersonObserved

from kit.contracts import wire
from kit.contracts.events import Received
from kit.database.people import PersonRecord, keep_people
from kit.database.unit_of_work import UnitOfWork
from kit.errors import InvalidEvent

__all__ = ["PersonObserved", "observe_people"]

_DIGEST = re.compile(r"[0-9a-f]{64}")


async def observe_people(uow: UnitOfWork, events: Sequence[Received[PersonObserved]]) -> None:
    """Keep the newest state of each person."""
    await keep_people(uow, [read_person(event) for event in events])


def read_person(event: Received[PersonObserved]) -> PersonRecord:
    """A person. InvalidEvent `bad_digest` for what is no SHA-256; claims that this version does not know are passed
    over."""
    message = event.message
    digests: dict[str, str] = {}
    for identity in message.identities:
        if not _DIGEST.fullmatch(identity.digest):
            raise InvalidEvent(
                "bad_digest", f"identities: {identity.digest[:80]!r} is no SHA-256 in hexadecimal digits"
            )
        digests[wire.required(identity.claim, "identities.claim")] = identity.digest
    return PersonRecord(
        person_id=wire.required(message.person_id, "person_id"),
        active=message.active,
        manager_id=message.manager_id,
        federation_id=digests.get("federation_id", ""),
        username=digests.get("username", ""),
        email=digests.get("email", ""),
        committed_at=wire.moment(message.committed_at, "committed_at"),
        observed_no=event.sequence,
    )
