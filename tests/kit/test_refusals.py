"""What each error of sending means, and how long its line waits."""

import pytest
from aiokafka import errors
from hypothesis import given
from hypothesis import strategies as st
from kit.relay.refusals import Holds, Line, Silence, TopicUnknown, Verdict, judge


def subclasses(kind):
    return {kind, *(found for each in kind.__subclasses__() for found in subclasses(each))}


ABSTRACT = {errors.BrokerResponseError}
KINDS = sorted(subclasses(errors.KafkaError) - ABSTRACT, key=lambda kind: kind.__name__)


def made(kind):
    return kind.__new__(kind)


@pytest.mark.parametrize("partner", [True, False])
def test_every_error_of_the_client_has_a_verdict(partner):
    for kind in KINDS:
        refusal = judge(made(kind), partner=partner)
        assert refusal.code and refusal.detail.startswith(kind.__name__)
        if refusal.verdict is not Verdict.PASSING:
            # What a partner does not get, it gets not out of order either.
            assert refusal.of_topic is partner


def test_what_the_client_would_repeat_by_itself_never_condemns_an_event_of_ours():
    for kind in KINDS:
        if kind.retriable and issubclass(kind, errors.BrokerResponseError):
            verdict = judge(made(kind), partner=False).verdict
            # Those of consumer groups cannot come of sending.
            assert verdict is Verdict.PASSING or "Group" in kind.__name__ or "Coordinator" in kind.__name__, kind


@pytest.mark.parametrize("error", [OSError(), TimeoutError(), TimeoutError(), Silence(), ConnectionError()])
def test_the_network_never_condemns_an_event(error):
    assert judge(error, partner=True).verdict is Verdict.PASSING


@pytest.mark.parametrize(
    "error", [TopicUnknown(), errors.TopicAuthorizationFailedError("t"), errors.InvalidTopicError()]
)
def test_a_topic_of_ours_that_is_refused_waits_and_a_partners_is_given_up(error):
    ours, theirs = judge(error, partner=False), judge(error, partner=True)
    assert (ours.verdict, ours.of_topic) == (Verdict.PASSING, True)
    assert (theirs.verdict, theirs.of_topic) == (Verdict.PERMANENT, True)


def test_an_event_that_is_too_large_is_refused_for_good_and_others_of_its_batch_are_not():
    refusal = judge(errors.MessageSizeTooLargeError(), partner=False)
    assert (refusal.verdict, refusal.of_event, refusal.of_topic) == (Verdict.PERMANENT, True, False)


@pytest.mark.parametrize("error", [errors.UnknownError(), ZeroDivisionError("a bug"), UnicodeError()])
def test_what_is_in_no_list_is_unclear(error):
    assert judge(error, partner=False).verdict is Verdict.UNCLEAR


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["fail", "settle", "wait"])), max_size=60))
def test_a_line_waits_only_while_it_fails(steps):
    now = [0.0]
    holds = Holds(lambda: now[0])
    failing: set[str] = set()
    for key, step in steps:
        line = Line("t", key)
        if step == "fail":
            failing.add(key)
            holds.failed(line, 0)
            assert line in holds.lines
        elif step == "settle":
            failing.discard(key)
            holds.settled({line})
            assert line not in holds.lines
        else:
            now[0] += 20
            assert holds.lines == []
        assert holds.any is bool(failing)


def test_a_line_is_to_blame_only_while_others_get_through():
    holds, one, other = Holds(), Line("t", "a"), Line("t", "b")
    assert [holds.failed(one, 0), holds.failed(other, 0)] == [1, 1]
    # Nothing is sent: it is the broker.
    assert [holds.failed(line, 0) for line in (one, other) * 50] == [1] * 100
    assert [holds.failed(one, sent) for sent in (1, 2, 2, 3)] == [2, 3, 3, 4]
    # It fails alone.
    holds.settled({other})
    assert [holds.failed(one, 3) for _ in range(3)] == [5, 6, 7]
    holds.settled({one})
    assert holds.failed(one, 3) == 1
