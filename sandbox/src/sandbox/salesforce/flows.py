"""What an administrator has automated: a flow that sets another stage whenever an opportunity comes to one."""

from collections.abc import Iterable
from dataclasses import dataclass

from sandbox.salesforce.rules import Record


@dataclass(frozen=True, slots=True)
class Flow:
    """Coming to the stage `on` it sets the stage `sets`: in the same transaction, before it is saved, or in one of its
    own afterwards, as this user."""

    on: str
    sets: str
    user_id: str
    before_save: bool = False


def triggered(flows: Iterable[Flow], before: Record | None, after: Record, *, before_save: bool) -> Flow | None:
    """The flow that a change of an opportunity sets off; None where its stage stays."""
    stage = after.get("StageName")
    if after.get("IsDeleted") or (before is not None and before.get("StageName") == stage):
        return None
    return next((flow for flow in flows if flow.on == stage and flow.before_save is before_save), None)
