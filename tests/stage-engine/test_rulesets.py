"""What is kept of compiled pipelines."""

from stage_engine.domain.document import from_document
from stage_engine.engine import compiled
from stage_engine.service.rulesets import Compiled

from tests.rule_tables import largest_pipeline


def test_it_is_bounded_by_size_and_the_least_used_gives_way() -> None:
    kept = Compiled()
    largest = compiled(from_document(largest_pipeline(), 1))
    assert largest.size > 50_000
    for version in range(5):
        kept.put("acme", ("p", version), largest)
        kept.put("acme", ("p", version), largest)
    assert kept.size == 5 * largest.size
    assert kept.get("acme", ("p", 0)) is largest
    kept.put("acme", ("p", 5), largest)
    assert kept.get("acme", ("p", 1)) is None
    assert kept.get("acme", ("p", 0)) is largest
    assert kept.size == 5 * largest.size
