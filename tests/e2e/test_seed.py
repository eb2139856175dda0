"""The first steps of a new user, as `make seed` prints them."""

import re

from sandbox.story.seed import main


def test_seeding_again_changes_nothing_and_says_what_to_try(system, capsys):
    engine, before = system.person("manager"), system.org(system.opportunities[0])
    count = len(engine.all("stage-engine", "/v1/opportunities"))
    assert main(["--run-dir", str(system.stack.run.root)]) == 0
    said = capsys.readouterr().out
    assert len(engine.all("stage-engine", "/v1/opportunities")) == count
    assert system.org(system.opportunities[0]) == before
    # Every call that it prints works with the token of the role that it names.
    subjects = dict(re.findall(r"token ROLE=(\w+) SUBJECT=([\w-]+)", said))
    assert set(subjects) == {"rep", "manager", "admin"}
    calls = re.findall(r'Bearer \$(\w+)" "?(http[^\s"]+)', said)
    assert len(calls) == 5
    for role, url in calls:
        token = system.stack.token("acme", role.lower(), subjects[role.lower()])
        answer = system.http.get(url, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200, (url, answer.text)
    worklist = system.http.get(calls[0][1], headers={"Authorization": f"Bearer {system.rep().token}"}).json()
    assert worklist["items"]


def test_seeding_needs_a_running_stack(tmp_path, capsys):
    assert main(["--run-dir", str(tmp_path)]) == 1
    assert "Start it with `make up`" in capsys.readouterr().err


def test_documentation_loads_from_the_service_alone(system):
    for url in system.urls.values():
        page = system.http.get(f"{url}/", follow_redirects=True)
        assert page.status_code == 200 and str(page.url) == f"{url}/docs"
        assets = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert len(assets) == 3 and all(asset.startswith(url) for asset in assets)
        assert all(system.http.get(asset).status_code == 200 for asset in assets)
        assert system.http.get(f"{url}/openapi.json").json()["info"]["title"].startswith("Stagecraft")
