"""Facts over HTTP, from any program that has a right to report them."""

from kit.http.auth import Caller, requires
from kit.http.bodies import DOCUMENT_BODY, accepts
from kit.http.web import Uow, router

from stage_engine.schemas.facts import FactAnswers, FactReport
from stage_engine.service.facts import FactReports

router = router("facts", dependencies=[requires("facts:write")])


@router.post("/facts")
@accepts(DOCUMENT_BODY)
async def report_facts(body: FactReport, uow: Uow, caller: Caller) -> FactAnswers:
    """Report up to 1,000 facts. Each item has an answer of its own: one that is refused holds back none of the others.
    The same idempotency key of a source is decided on once, and refused with another value or time."""
    return FactAnswers(items=await FactReports(uow, caller).take(body.items))
