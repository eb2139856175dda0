"""The package's REST resource that converts leads: the org's own API has none."""

from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from sandbox.salesforce import schema
from sandbox.salesforce.composite import Writer
from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.oauth import Sessions
from sandbox.salesforce.store import Org, Transaction

ORIGIN = "com/salesforce/api/apexrest/stagecraft"
_CLOSES_AFTER = timedelta(days=90)


def conversion_router(org: Org, sessions: Sessions) -> APIRouter:
    router = APIRouter(prefix="/services/apexrest/stagecraft")

    @router.post("/convert")
    async def convert_lead(request: Request) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        user = sessions.user_of(token.strip() if scheme.lower() == "bearer" else "")
        body = await request.json()
        transaction = Writer(user, ORIGIN).begin(org)
        done = convert(transaction, body)
        org.commit(transaction)
        await org.journal.flushed()
        return JSONResponse(done)

    return router


def convert(transaction: Transaction, body: dict[str, Any]) -> dict[str, Any]:
    """Make an account and an opportunity of the lead. Raises ApiError; then nothing was written."""
    lead = transaction.read(schema.LEAD, str(body.get("leadId", "")))
    if lead.get("IsConverted"):
        raise ApiError("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
    owner = {"OwnerId": body.get("ownerId") or lead["OwnerId"]}
    account_id = transaction.insert(schema.ACCOUNT, {"Name": lead["Company"], **owner})
    stages = sorted(transaction.org.stages.values(), key=lambda each: each["SortOrder"])
    opportunity_id = transaction.insert(
        schema.OPPORTUNITY,
        {
            "Name": body.get("opportunityName") or f"{lead['Company']}-",
            "AccountId": account_id,
            "StageName": next(each["ApiName"] for each in stages if not each["IsClosed"]),
            "CloseDate": (transaction.moment + _CLOSES_AFTER).date().isoformat(),
            **owner,
        },
    )
    statuses = transaction.org.tables[schema.LEAD_STATUS.name].values()
    values = {
        "IsConverted": True,
        "ConvertedDate": transaction.moment.date().isoformat(),
        "ConvertedAccountId": account_id,
        "ConvertedOpportunityId": opportunity_id,
        "Status": next(each["ApiName"] for each in statuses if each["IsConverted"]),
    }
    transaction.settle(schema.LEAD, lead["Id"], values)
    return {"accountId": account_id, "opportunityId": opportunity_id}
