"""What people and devices look at, and what is not judged by its plans."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from kit.database.waiting import MOST_COUNTED

from tests.plans.hot_paths import REPETITIONS, copy_of, owner_of
from tests.plans.platform import SERVICES, Platform

PAGE = 50


@dataclass(frozen=True)
class Read:
    """A page as somebody asks for it. `path` names what a known deal has; `at_most` says how many rows of a table or
    between two steps a statement may read, and `why` where that is more than a page and what belongs to it."""

    service: str
    path: str
    role: str
    at_most: int = 4 * PAGE
    why: str = ""

    def __str__(self) -> str:
        return f"{self.service} {self.path} as {self.role}"

    async def ask(self, platform: Platform, known: dict[str, Any]) -> None:
        """Ask as often as it takes to get the plan that is kept, and for the page behind it."""
        subject = {"rep": known["owner_id"], "newcomer": "005newcomer"}.get(self.role, "")
        caller = platform.caller("rep" if self.role == "newcomer" else self.role, subject)
        address = urlsplit(self.path.format(**known))
        query = dict(parse_qsl(address.query))
        for _ in range(REPETITIONS):
            page = await caller.get(self.service, address.path, **query)
        if cursor := page.get("next_cursor"):
            await caller.get(self.service, address.path, **query, cursor=cursor)


_OWN = 1500
_OF_THE_REP = "all deals of one rep, a thousand here, however many there are of others"

READS = (
    Read("assessment", "/v1/worklist", "rep"),
    Read("assessment", "/v1/worklist?owner_id={owner_id}", "manager"),
    Read("assessment", "/v1/opportunities/{opportunity_id}/next-assessment", "rep"),
    Read("assessment", "/v1/opportunities/{opportunity_id}/timeline", "rep"),
    Read("assessment", "/v1/submissions/{submission_id}", "rep"),
    Read("assessment", "/v1/assessments", "admin"),
    Read("assessment", "/v1/assessments/{assessment_key}", "admin"),
    Read("assessment", "/v1/assessments/{assessment_key}/versions", "admin"),
    Read("assessment", "/v1/assessments/{assessment_key}/versions/{version}", "admin"),
    Read("assessment", "/v1/assessment-templates", "admin"),
    Read("assessment", "/v1/assessment-templates/{assessment_key}", "admin"),
    Read("scoring", "/v1/submissions/{submission_id}/score", "rep"),
    Read("scoring", "/v1/scores?opportunity_id={opportunity_id}", "rep"),
    Read("scoring", "/v1/scoring-profiles", "admin"),
    Read("scoring", "/v1/scoring-profiles/{profile_id}", "admin"),
    Read("scoring", "/v1/profile-templates", "admin"),
    Read("scoring", "/v1/profile-templates/{assessment_key}", "admin"),
    Read("stage-engine", "/v1/opportunities", "rep"),
    Read("stage-engine", "/v1/opportunities", "manager"),
    Read("stage-engine", "/v1/opportunities?stage=prospecting", "rep"),
    Read("stage-engine", "/v1/opportunities?stage=prospecting", "manager"),
    Read("stage-engine", "/v1/opportunities?stage=negotiation", "rep", _OWN, _OF_THE_REP),
    Read("stage-engine", "/v1/opportunities?stage=negotiation", "manager"),
    Read("stage-engine", "/v1/opportunities/{opportunity_id}", "rep"),
    Read("stage-engine", "/v1/opportunities/{opportunity_id}/decisions", "rep"),
    Read("stage-engine", "/v1/decisions/{decision_id}", "rep"),
    Read("stage-engine", "/v1/changes", "rep", _OWN, _OF_THE_REP),
    Read("stage-engine", "/v1/changes", "newcomer"),
    Read("stage-engine", "/v1/changes", "manager"),
    Read("stage-engine", "/v1/changes?opportunity_id={opportunity_id}", "rep"),
    Read("stage-engine", "/v1/partner-feeds", "admin"),
    Read("stage-engine", "/v1/pipelines", "admin"),
    Read("stage-engine", "/v1/pipelines/{pipeline_key}", "admin"),
    Read("stage-engine", "/v1/pipelines/{pipeline_key}/versions", "admin"),
    Read("stage-engine", "/v1/pipeline-templates", "admin"),
    Read("stage-engine", "/v1/pipeline-templates/{pipeline_key}", "admin"),
    Read("crm-connector", "/v1/connection", "sre"),
    Read("crm-connector", "/v1/imports/{import_id}", "sre"),
    Read("crm-connector", "/v1/opportunities/{opportunity_id}", "rep"),
    Read("crm-connector", "/v1/write-intents", "sre"),
    Read("crm-connector", "/v1/write-intents?state=CONFIRMED", "sre"),
    Read("crm-connector", "/v1/write-intents?state=PARKED", "sre"),
    Read("crm-connector", "/v1/write-intents?opportunity_id={opportunity_id}", "sre"),
    Read("crm-connector", "/v1/write-intents/{intent_id}", "sre"),
    Read("crm-connector", "/v1/stage-mappings/{pipeline_key}", "admin"),
    Read("recommender", "/v1/model", "manager", 1500, "counts what waits, a thousand submissions here"),
    Read("recommender", "/v1/model/cells?stage=prospecting", "manager"),
    Read("recommender", "/v1/opportunities/{opportunity_id}/recommendation", "rep"),
    Read("recommender", "/v1/recommendations", "manager"),
    *(
        Read(service, path, "sre")
        for service in SERVICES
        for path in ("/v1/audit-entries", "/v1/dead-letters", "/livez", "/readyz", "/statusz")
    ),
)
# Commands whose plans the other paths show.
COMMANDS = {
    ("assessment", "PUT", "/v1/submissions/{submission_id}"),
    ("assessment", "POST", "/v1/submission-batches"),
    ("stage-engine", "POST", "/v1/opportunities/{opportunity_id}/transitions"),
    ("stage-engine", "POST", "/v1/decisions/{decision_id}/replay"),
    ("recommender", "POST", "/v1/recommendations/preview"),
    ("crm-connector", "POST", "/v1/imports"),
}
_AUTHORING = "somebody changes or publishes a definition, a few times a month"
_MENDING = "somebody mends one thing that went wrong"
# Not judged, each with the reason.
EXCUSED = {
    ("stage-engine", "GET", "/v1/funnel"): "totals and conversions of a whole pipeline: all of it is what is asked for",
    ("stage-engine", "GET", "/v1/optimism-gap"): "a total over all open deals: all of them is what is asked for",
    ("stage-engine", "POST", "/v1/pipelines"): _AUTHORING,
    ("stage-engine", "PUT", "/v1/pipelines/{key}/draft"): _AUTHORING,
    ("stage-engine", "POST", "/v1/pipelines/{key}/lint"): "counts the open deals that a draft would meet",
    ("stage-engine", "POST", "/v1/pipelines/{key}/publish"): "counts the open deals that the version meets",
    ("stage-engine", "POST", "/v1/partner-feeds"): _AUTHORING,
    ("assessment", "POST", "/v1/assessments"): _AUTHORING,
    ("assessment", "PUT", "/v1/assessments/{key}/draft"): _AUTHORING,
    ("assessment", "POST", "/v1/assessments/{key}/publish"): _AUTHORING,
    ("assessment", "POST", "/v1/assessments/{key}/versions/{version}/retire"): _AUTHORING,
    ("scoring", "POST", "/v1/scoring-profiles"): _AUTHORING,
    ("scoring", "PUT", "/v1/scoring-profiles/{profile_id}"): _AUTHORING,
    ("scoring", "POST", "/v1/scoring-profiles/{profile_id}/preview"): _AUTHORING,
    ("scoring", "POST", "/v1/scoring-profiles/{profile_id}/publish"): "scores everything that waited for it",
    ("crm-connector", "PUT", "/v1/stage-mappings/{pipeline_key}"): "publishes every deal of the pipeline anew",
    ("crm-connector", "POST", "/v1/write-intents/{intent_id}/retry"): _MENDING,
    **{
        (service, "POST", f"/v1/dead-letters/{{dead_letter_id}}/{action}"): _MENDING
        for service in SERVICES
        for action in ("replay", "dismiss")
    },
    **{(service, "GET", "/metrics"): "asks the database what /statusz does" for service in SERVICES},
}
# By age, once in ten minutes or an hour, in the background; BRIN finds the page ranges that may hold such rows.
HOUSEKEEPING = ("DELETE FROM inbox WHERE received_at", "DELETE FROM idempotency WHERE", "DELETE FROM change_seen WHERE")
# What is counted for metrics reads an index up to its end or to MOST_COUNTED rows, or a sample of a thousand pages.
MEASURED = {
    "SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(since)": MOST_COUNTED + 1,
    "SELECT count(*) AS count, min(anon_1.since) AS since": MOST_COUNTED + 1,
}
SAMPLED = ("\n    SELECT count(*), count(*) FILTER (WHERE stage_rank > earned_rank)",)


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Method and path of everything an OpenAPI document offers."""
    for path, methods in document["paths"].items():
        for method in methods:
            yield method.upper(), path


async def known_deal(platform: Platform, number: int) -> dict[str, Any]:
    """What the paths name, of a deal that `fill` made."""
    deal, admin = copy_of(number), platform.caller("admin")
    timeline = (await admin.get("assessment", f"/v1/opportunities/{deal}/timeline"))["items"]
    (submission_id,) = [item["id"] for item in timeline if item["kind"] == "submission"]
    (decision,) = (await admin.get("stage-engine", f"/v1/opportunities/{deal}/decisions"))["items"]
    (intent,) = (await admin.get("crm-connector", "/v1/write-intents", opportunity_id=deal))["items"]
    (profile, *_) = (await admin.get("scoring", "/v1/scoring-profiles"))["items"]
    run = await admin.post("crm-connector", "/v1/imports")
    return {
        "opportunity_id": deal,
        "owner_id": owner_of(number),
        "submission_id": submission_id,
        "decision_id": decision["decision_id"],
        "intent_id": intent["intent_id"],
        "profile_id": profile["profile_id"],
        "import_id": run["import_id"],
        "assessment_key": "prospecting",
        "version": 1,
        "pipeline_key": "field_example",
    }
