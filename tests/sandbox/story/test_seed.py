"""What `make seed` prints can be pasted into a shell as it stands."""

import json
import subprocess

from assessment.schemas.capture import SubmissionBody
from sandbox.story.seed import main_job

# Instead of the programs: what they would be called with, a line for each word.
STUBS = """sleep() { :; }; curl() { printf '%s\\n' "$@"; }; REP=token"""


def test_the_main_job_is_a_request_that_the_service_takes() -> None:
    job = "\n".join(main_job("http://here", "006Sg0000000001IAA"))
    said = subprocess.run(["bash", "-euc", f"{STUBS}\n{job}"], capture_output=True, text=True, check=True).stdout
    words = said.splitlines()
    body = SubmissionBody.model_validate(json.loads(words[words.index("-d") + 1]))
    assert (body.opportunity_id, body.assessment_key) == ("006Sg0000000001IAA", "prospecting")
    urls = [word for word in words if word.startswith("http://here/v1/submissions/")]
    assert len(urls) == 2
    assert len(set(urls)) == 1
    assert words.count("Authorization: Bearer token") == 2
