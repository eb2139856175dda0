"""Which entity tags a change may name."""

import pytest
from kit.http.etag import _if_match, check_revision, etag
from kit.http.problems import InvalidProblem, PreconditionFailedProblem, PreconditionRequiredProblem

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("given", [etag(3), "W/" + etag(3), " " + etag(3) + " ", "3"])
async def test_a_tag_is_read_however_a_proxy_left_it(given):
    assert await _if_match(given) == 3


@pytest.mark.parametrize(
    "given", ["*", '"3", "4"', "W/*", "", '"', '"3', 'w/"3"', '"-3"', '"3.0"', '"' + "9" * 30 + '"', '"٣"']
)
async def test_what_names_no_single_revision_is_refused_with_the_way_out(given):
    with pytest.raises(InvalidProblem, match="Send one ETag as it was read") as refused:
        await _if_match(given)
    assert refused.value.code == "unreadable_etag"


async def test_a_missing_tag_and_an_old_one_are_told_apart():
    with pytest.raises(PreconditionRequiredProblem):
        await _if_match(None)
    with pytest.raises(PreconditionFailedProblem) as stale:
        check_revision(3, 4)
    assert stale.value.headers == {"ETag": etag(4)}
