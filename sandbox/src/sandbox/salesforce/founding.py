"""The first records of an org, and the bulk load that gives it a sales team's history."""

from typing import Any

from sandbox.salesforce import schema
from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.ids import full_id
from sandbox.salesforce.rules import Record, coerce
from sandbox.salesforce.schema import SObject
from sandbox.salesforce.store import Org, Transaction

INTEGRATION_USERNAME = "integration@stagecraft.example"
ADMIN_USERNAME = "admin@stagecraft.example"

# ApiName, DefaultProbability, ForecastCategory, ForecastCategoryName
STANDARD_STAGES = (
    ("Prospecting", 10, "Pipeline", "Pipeline"),
    ("Discovery", 25, "Pipeline", "Pipeline"),
    ("Demo", 50, "BestCase", "Best Case"),
    ("Negotiation", 75, "Forecast", "Commit"),
    ("Closed Won", 100, "Closed", "Closed"),
    ("Closed Lost", 0, "Omitted", "Omitted"),
)
# What a load may set although a client of the API may not.
_AUDIT = frozenset(
    {
        "Id", "CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById", "SystemModstamp",
        "LastStageChangeDate", "LastActivityDate", "CompletedDateTime", "IsConverted",
    }
)  # fmt: skip
# What a load creates, by its key, in an order in which each row finds what it refers to.
LOADED = {
    "record_types": schema.RECORD_TYPE,
    "users": schema.USER,
    "accounts": schema.ACCOUNT,
    "campaigns": schema.CAMPAIGN,
    "contacts": schema.CONTACT,
    "opportunities": schema.OPPORTUNITY,
    "leads": schema.LEAD,
    "contact_roles": schema.CONTACT_ROLE,
    "tasks": schema.TASK,
    "events": schema.EVENT,
}
# ApiName and whether a lead of this status was converted.
LEAD_STATUSES = (
    ("Open - Not Contacted", False),
    ("Working - Contacted", False),
    ("Closed - Not Converted", False),
    ("Closed - Converted", True),
)


def found(org: Org) -> None:
    """Creates the organization, its two users and the standard stages."""
    own = Transaction(org, user="", origin="", emits=False)
    own.insert(
        schema.ORGANIZATION,
        {
            "Name": "Acme Sales",
            "InstanceName": "SBX1",
            "IsSandbox": True,
            "OrganizationType": "Enterprise Edition",
        },
    )
    for username, first, last in (
        (ADMIN_USERNAME, "Avery", "Admin"),
        (INTEGRATION_USERNAME, "Stagecraft", "Integration"),
    ):
        body = {"Username": username, "FirstName": first, "LastName": last, "Email": username}
        own.insert(schema.USER, {**body, "IsActive": True, "UserType": "Standard"})
    for position, (name, converted) in enumerate(LEAD_STATUSES, start=1):
        status = {"ApiName": name, "MasterLabel": name, "SortOrder": position, "IsConverted": converted}
        own.insert(schema.LEAD_STATUS, status | {"IsDefault": position == 1})
    org.commit(own)
    org.replace_stages(
        stage_rows(
            org,
            [
                {
                    "ApiName": name,
                    "DefaultProbability": probability,
                    "ForecastCategory": category,
                    "ForecastCategoryName": label,
                    "IsClosed": name.startswith("Closed"),
                    "IsWon": name == "Closed Won",
                }
                for name, probability, category, label in STANDARD_STAGES
            ],
        )
    )


def user_named(org: Org, username: str) -> Record | None:
    """Finds a user by Username, or by id."""
    for user in org.tables["User"].values():
        if username in {user["Username"], user["Id"]}:
            return user
    return None


def stage_rows(org: Org, given: list[dict[str, Any]]) -> list[Record]:
    """Completes stages given by at least ApiName; the order given is the sort order."""
    transaction = Transaction(org, user="", origin="", emits=False)
    for position, row in enumerate(given, start=1):
        if not row.get("ApiName"):
            raise ApiError("REQUIRED_FIELD_MISSING", "Required fields are missing: [ApiName]")
        transaction.insert(
            schema.STAGE,
            {
                "MasterLabel": row["ApiName"],
                "SortOrder": position,
                "IsActive": True,
                "IsClosed": False,
                "IsWon": False,
                "DefaultProbability": 0,
                "ForecastCategory": "Pipeline",
                "ForecastCategoryName": "Pipeline",
            }
            | {name: value for name, value in row.items() if name not in _AUDIT},
        )
    return [record for _, record in transaction.written.values()]


def load(org: Org, user: str, rows: dict[str, list[dict[str, Any]]]) -> dict[str, list[str]]:
    """Creates records in bulk, without change events; gives their ids in the order given.

    Keys: `stages` (replace all there are), those of LOADED, `history` (takes the place of the rows the load would leave
    for the same opportunities). A row may set its `Id` and audit stamps. One bad row refuses the whole load.
    """
    stages = stage_rows(org, rows["stages"]) if rows.get("stages") else []
    before = org.stages
    # The opportunities take their probabilities from the stages they come with.
    org.stages = {stage["ApiName"]: stage for stage in stages} or before
    try:
        transaction, ids = _gather(org, user, rows)
    finally:
        org.stages = before
    if stages:
        org.replace_stages(stages)
    org.commit(transaction)
    return ids


def _gather(org: Org, user: str, rows: dict[str, list[dict[str, Any]]]) -> tuple[Transaction, dict[str, list[str]]]:
    transaction = Transaction(org, user=user, origin="", emits=False)
    ids: dict[str, list[str]] = {}
    for name, obj in LOADED.items():
        ids[name] = [_insert(transaction, obj, row) for row in rows.get(name, [])]
    history = rows.get("history", [])
    given_for = {full_id(str(row.get("OpportunityId", ""))) for row in history}
    for record_id, (obj, record) in list(transaction.written.items()):
        if obj is schema.HISTORY and record["OpportunityId"] in given_for:
            del transaction.written[record_id]
    ids["history"] = [_insert(transaction, schema.HISTORY, row) for row in history]
    return transaction, ids


def _insert(transaction: Transaction, obj: SObject, row: dict[str, Any]) -> str:
    audit: Record = {}
    body: dict[str, Any] = {}
    for name, value in row.items():
        field = obj.find(name)
        if field is None or field.name not in _AUDIT:
            body[name] = value
        elif value is not None:
            audit[field.name] = full_id(value) if field.kind == "id" else coerce(field, value)
    if "Id" in audit and transaction.find(obj, audit["Id"]) is not None:
        raise ApiError("DUPLICATE_VALUE", f"duplicate value found: Id {audit['Id']}")
    return transaction.insert(obj, body, audit)
