"""The field example with criteria: what it takes to leave Prospecting, and an exit-criteria sheet between Discovery and
Demo."""

from tests.e2e.conftest import eventually

WEIGHTS = {"fit": (66, 40), "budget": (12, 8), "authority": (12, 8)}
STRONG = dict.fromkeys(WEIGHTS, "strong")


def publish_qualification(admin):
    """An assessment of three questions with a section for each."""
    questions = [
        {
            "key": key,
            "text": f"How good is the {key}?",
            "type": "single_choice",
            "required": True,
            "section": key,
            "choices": [{"key": "strong", "text": "Strong"}, {"key": "weak", "text": "Weak"}],
        }
        for key in WEIGHTS
    ]
    admin.do("POST", "assessment", "/v1/assessments", {"key": "qualification", "title": "Q", "questions": questions})
    admin.do("POST", "assessment", "/v1/assessments/qualification/publish")
    profile = {
        "scale": "raw",
        "questions": [
            {
                "question_key": key,
                "choices": [
                    {"choice_key": choice, "points": str(points)}
                    for choice, points in zip(("strong", "weak"), weights, strict=True)
                ],
            }
            for key, weights in WEIGHTS.items()
        ],
        "sections": [{"key": key, "question_keys": [key]} for key in WEIGHTS],
    }
    draft = {"assessment_key": "qualification", "assessment_version": 1, "title": "Q", "profile": profile}

    def drafted():
        answer = admin.call("POST", "scoring", "/v1/scoring-profiles", draft)
        assert answer.is_success, answer.text
        return answer.json()["profile_id"]

    profile_id = eventually(drafted)

    def published():
        answer = admin.call("POST", "scoring", f"/v1/scoring-profiles/{profile_id}/publish")
        assert answer.is_success, answer.text

    eventually(published)


def criterion(key, name, fact, cell, **more):
    return {"key": key, "name": name, "conditions": [{"fact": fact, "cell": cell}], **more}


def with_criteria(pipeline):
    """The content of the draft with criteria, and with rules by the sheet between Discovery and Demo."""
    prospecting, discovery, demo, *others = pipeline["stages"]
    prospecting["exit"] = [
        criterion("industry", "The industry is known", "account.industry", "known"),
        criterion("compliance", "Compliance is at stake", "prospecting.answers.compliance", "'yes'",
                  supplied_by="prospecting.answers.compliance", help="Ask who audits the data.",
                  playbook_url="https://playbook.example/compliance"),
    ]  # fmt: skip
    sheet = [
        criterion("total", "The qualification is strong enough", "qualification.score", ">= 84"),
        criterion("budget", "The buyer has the budget", "qualification.sections.budget", ">= 10"),
        criterion("authority", "The person who signs takes part", "qualification.sections.authority", ">= 10"),
    ]
    discovery["exit"] = sheet
    for stage in (discovery, demo):
        stage["assessment_keys"] = [*stage["assessment_keys"], "qualification"]
    rules = [rule for rule in pipeline["rules"] if rule["from_stage"] != "discovery"]
    rules.append({
        "rule_id": "qualified", "from_stage": "discovery", "to_stage": "demo", "mode": "auto",
        "conditions": [condition for each in sheet for condition in each["conditions"]],
    })  # fmt: skip
    rules += [
        {
            "rule_id": f"{key}_fell", "from_stage": "demo", "to_stage": "discovery", "mode": "auto", "back": True,
            "reason_code": f"{key.upper()}_FELL",
            "conditions": [{"fact": f"qualification.sections.{key}", "cell": "< 10"}],
        }
        for key in ("budget", "authority")
    ]  # fmt: skip
    facts = [{"name": "account.industry", "type": "text"}]
    content = {**pipeline, "stages": [prospecting, discovery, demo, *others], "rules": rules, "facts": facts}
    return {name: value for name, value in content.items() if name != "key"}


def publish_criteria(system):
    """The next version of the field example, for opportunities that are new; its qualification is published before."""
    admin = system.person("admin")
    path = "/v1/pipelines/field_example"
    found = admin.call("GET", "stage-engine", path)
    content = with_criteria(admin.get("stage-engine", "/v1/pipeline-templates/field_example"))

    def published():
        answer = admin.call("POST", "stage-engine", f"{path}/publish")
        assert answer.is_success, answer.text
        return answer.json()["version"]

    admin.do("PUT", "stage-engine", f"{path}/draft", content, If_Match=found.headers["etag"])
    return eventually(published)


def new_opportunity(system, version, stage="Prospecting"):
    """One that the org gets now, once the engine has it in this version."""
    row = {"Name": "Late", "StageName": stage, "Amount": 5000, "CloseDate": "2027-06-30"}
    loaded = system.http.post(f"{system.org_url}/_sim/load", json={"opportunities": [{**row, "OwnerId": system.owner}]})
    (opportunity,) = loaded.raise_for_status().json()["opportunities"]
    # What is loaded makes no event, as a change does.
    system.edit_in_org(opportunity, Amount=5001)
    manager = system.person("manager")

    def there():
        found = manager.call("GET", "stage-engine", f"/v1/opportunities/{opportunity}")
        assert found.is_success, found.text
        assert found.json()["pipeline_version"] == version
        assert system.rep().get("assessment", f"/v1/opportunities/{opportunity}/next-assessment")["due"]

    eventually(there)
    return opportunity
