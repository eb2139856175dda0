"""The whole system as processes of its own, spoken to through its public APIs only."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from kit.ids import utc_now, uuid7
from sandbox.stack.control import Stack
from testing.service import NOT_YET, WAIT_SECONDS

JO = "jo@acme.example"


def eventually(check, seconds=WAIT_SECONDS):
    """The check's result once it is true of what it finds; its last error when it never is."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return check()
        except NOT_YET:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@dataclass
class Person:
    """Somebody of a tenant with a token."""

    system: "System"
    token: str

    def call(self, method, service, path, body=None, **headers):
        url = self.system.urls[service] + path
        sent = {"Authorization": f"Bearer {self.token}", **{k.replace("_", "-"): v for k, v in headers.items()}}
        return self.system.http.request(method, url, json=body, headers=sent)

    def get(self, service, path, **headers):
        answer = self.call("GET", service, path, **headers)
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        return answer.json()

    def all(self, service, path):
        items, cursor = [], ""
        while cursor is not None:
            joiner = "&" if "?" in path else "?"
            page = self.get(service, f"{path}{joiner}limit=200" + (f"&cursor={cursor}" if cursor else ""))
            items += page["items"]
            cursor = page["next_cursor"]
        return items

    def do(self, method, service, path, body=None, **headers):
        answer = self.call(method, service, path, body, **headers)
        assert answer.is_success, (path, answer.status_code, answer.text)
        return answer

    def submit(self, opportunity_id, assessment_key, answers, *, submission_id=None, visit=None, move=None, **headers):
        """Hand an assessment in; the submission's id."""
        submission_id = submission_id or str(uuid7())
        body = {
            "opportunity_id": opportunity_id,
            "assessment_key": assessment_key,
            "assessment_version": 1,
            "answers": answers,
            "captured_at": utc_now().isoformat(),
        } | ({"visit": visit} if visit else {})
        body |= {"move": move} if move else {}
        self.do("PUT", "assessment", f"/v1/submissions/{submission_id}", body, **headers)
        return submission_id

    def decided(self, submission_id):
        """The submission once it is scored and decided, of which it hears in any order."""

        def check():
            found = self.get("assessment", f"/v1/submissions/{submission_id}")
            assert found["status"] == "decided" and found["score"], found
            return found

        return eventually(check)


@dataclass
class System:
    """The running system with the field example published and an org full of opportunities."""

    stack: Stack
    http: httpx.Client
    urls: dict[str, str]
    org_url: str
    owner: str = ""
    manager: str = ""
    opportunities: list[str] = field(default_factory=list)
    eventually = staticmethod(eventually)

    def person(self, role, subject="", tenant="acme"):
        """By default the one manager is the owner's; others are no people of the CRM."""
        known = self.manager if role == "manager" and tenant == "acme" else ""
        return Person(self, self.stack.token(tenant, role, subject or known or f"{role}-{uuid4().hex[:6]}"))

    def rep(self):
        """The owner of all opportunities: a rep's subject is the id of the user in the CRM."""
        return self.person("rep", self.owner)

    def opportunity(self):
        """An opportunity in Prospecting no other test uses."""
        return self.opportunities.pop()

    def org(self, opportunity_id):
        """The opportunity as the org holds it, with assessments and answers."""
        answer = self.http.get(f"{self.org_url}/_sim/opportunities", params={"id": opportunity_id})
        return answer.raise_for_status().json()["opportunities"][0]

    def edit_in_org(self, opportunity_id, **fields):
        """Somebody changes the opportunity in Salesforce."""
        body = {"id": opportunity_id, "fields": fields, "user": JO}
        self.http.post(f"{self.org_url}/_sim/edit", json=body).raise_for_status()


@pytest.fixture(scope="session")
def system(tmp_path_factory):
    """Everything, started by the same code as `make up`, on throwaway data."""
    run_dir = Path(os.environ.get("STAGECRAFT_TEST_RUN_DIR") or tmp_path_factory.mktemp("e2e")) / "e2e"
    run_dir.mkdir(parents=True, exist_ok=True)
    with Stack(run_dir, durable=False) as stack, httpx.Client(timeout=30) as http:
        running = System(stack, http, stack.urls, stack.environment["ORG_URL"])
        running.manager, running.owner, running.opportunities = fill_org(running)
        publish_field_example(running)
        engine = running.person("manager")

        def imported():
            seen = engine.all("stage-engine", "/v1/opportunities")
            assert len(seen) >= len(running.opportunities), len(seen)

        eventually(imported)
        for opportunity in running.opportunities:
            eventually(lambda opportunity=opportunity: _is_due(engine, opportunity))
        yield running


def _is_due(person, opportunity):
    answer = person.call("GET", "assessment", f"/v1/opportunities/{opportunity}/next-assessment")
    assert answer.is_success and answer.json()["due"], answer.text


def fill_org(system):
    """60 opportunities of one rep, all in Prospecting; the ids of the rep's manager, of the rep and of these."""
    load = f"{system.org_url}/_sim/load"

    def user(username, **more):
        rows = [{"Username": username, "LastName": "Jo", "Email": username, "IsActive": True, **more}]
        return system.http.post(load, json={"users": rows}).raise_for_status().json()["users"][0]

    manager = user("mo@acme.example")
    owner = user(JO, ManagerId=manager)
    opportunities = [
        {
            "Name": f"Deal {n}",
            "StageName": "Prospecting",
            "Amount": 1000 + n,
            "CloseDate": "2027-06-30",
            "OwnerId": owner,
        }
        for n in range(60)
    ]
    return (
        manager,
        owner,
        system.http.post(load, json={"opportunities": opportunities}).raise_for_status().json()["opportunities"],
    )


def publish_field_example(system):
    """Assessments, points and pipeline from the shipped templates, through the public APIs."""
    admin = system.person("admin")
    for template in admin.get("assessment", "/v1/assessment-templates")["items"]:
        key = template["key"]
        body = admin.get("assessment", f"/v1/assessment-templates/{key}")
        admin.do("POST", "assessment", "/v1/assessments", body)
        admin.do("POST", "assessment", f"/v1/assessments/{key}/publish")
        points = admin.get("scoring", f"/v1/profile-templates/{key}")
        draft = {"assessment_key": key, "assessment_version": 1, "profile": points["profile"]}
        profile_id = admin.do("POST", "scoring", "/v1/scoring-profiles", draft).json()["profile_id"]

        def published(profile_id=profile_id):
            answer = admin.call("POST", "scoring", f"/v1/scoring-profiles/{profile_id}/publish")
            assert answer.status_code != 409 or answer.json()["code"] != "assessment_unknown", answer.text
            assert answer.is_success, answer.text

        eventually(published)
    pipeline = admin.get("stage-engine", "/v1/pipeline-templates/field_example")
    admin.do("POST", "stage-engine", "/v1/pipelines", pipeline)
    admin.do("POST", "stage-engine", "/v1/pipelines/field_example/publish")
    admin.do("POST", "stage-engine", "/v1/partner-feeds", {"partner_key": "northwind"})
