"""Parts of the runtime that need neither database nor broker."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.database import migrate
from kit.errors import InvalidEvent
from kit.events import Event, Record, decode, registry
from kit.health import LIMIT_SECONDS, Watchdog
from kit.http.bodies import _BAD_TEXT
from kit.http.pagination import PageRequest, decode_cursor, encode_cursor, signature_of
from kit.http.problems import InvalidProblem, pointer
from kit.ids import derived, uuid7, uuid_of
from kit.settings import ServiceSettings
from stagecraft.stage.v1.stage_changed_pb2 import StageChanged


def test_ids_are_ordered_and_of_version_7():
    ids = [uuid7() for _ in range(10_000)]
    assert ids == sorted(set(ids))
    assert {i.version for i in ids} == {7}
    assert {i.variant for i in ids} == {"specified in RFC 4122"}


def test_derived_ids_keep_the_time_of_their_origin_and_are_the_same_every_time():
    origin, other = uuid7(), uuid7()
    ids = {derived(o, name) for o in (origin, other) for name in ("score", "intent", "")}
    assert len(ids) == 6
    assert derived(origin, "score") in ids
    assert {i.version for i in ids} == {8}
    assert {i.variant for i in ids} == {"specified in RFC 4122"}
    assert derived(origin, "score").int >> 80 == origin.int >> 80


storable = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1)


@given(storable, storable, st.integers(0, 2**60))
def test_an_event_survives_the_wire(tenant, opportunity, sequence):
    event = Event(tenant, StageChanged(opportunity_id=opportunity, revision=3), sequence, traceparent="00-a-b-01")
    received = decode(event.record("stage-engine"), 0, 0)
    assert (received.id, received.tenant_id, received.message, received.sequence, received.time) == (
        event.id,
        tenant,
        event.message,
        sequence,
        event.time,
    )
    assert received.traceparent == "00-a-b-01"


def test_a_future_schema_with_more_fields_passes():
    record = Event("t", StageChanged(opportunity_id="o"), 1).record("x")
    extended = Record(record.topic, record.key, record.value + bytes([0xFA, 0x3F, 2, 65, 66]), record.headers)
    assert decode(extended, 0, 0).message.opportunity_id == "o"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"ce_id": ""}, "missing_header"),
        ({"ce_id": "7"}, "bad_header"),
        ({"ce_type": "a.B"}, "unknown_type"),
        ({"ce_sequence": "x"}, "bad_header"),
        ({"ce_tenantid": "other"}, "key_mismatch"),
    ],
)
def test_a_broken_event_is_refused_with_its_code(change, code):
    record = Event("t", StageChanged(opportunity_id="o"), 1).record("x")
    with pytest.raises(InvalidEvent) as caught:
        decode(Record(record.topic, record.key, record.value, {**record.headers, **change}), 0, 0)
    assert caught.value.code == code


def test_every_event_has_a_topic_of_its_own_and_an_aggregate():
    topics = [kind.topic for kind in registry().values()]
    assert len(topics) == len(set(topics)) >= 10
    for kind in registry().values():
        assert kind.aggregate_field in kind.message.DESCRIPTOR.fields_by_name


@given(st.lists(st.one_of(st.integers(), st.text())), st.text(min_size=1), st.integers(0, 200), st.integers(1, 255))
def test_a_cursor_fits_its_tenant_only_and_no_byte_may_change(key, tenant, position, flip):
    signature = signature_of(b"secret", "a list", tenant)
    cursor = encode_cursor(signature, key)
    assert decode_cursor(signature, cursor) == key
    for other in (signature_of(b"secret", "a list", tenant + "x"), signature_of(b"other", "a list", tenant)):
        with pytest.raises(InvalidProblem):
            decode_cursor(other, cursor)
    at = position % len(cursor)
    altered = cursor[:at] + chr((ord(cursor[at]) + flip) % 128) + cursor[at + 1 :]
    if altered != cursor:
        try:
            assert decode_cursor(signature, altered) == key  # base64 ignores bits that carry nothing
        except InvalidProblem:
            pass


_STORABLE = st.text(alphabet=st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))


@given(_STORABLE, st.integers(-(2**63), 2**63 - 1), st.datetimes(timezones=st.just(UTC)))
def test_a_key_comes_back_as_it_was(text, number, moment):
    signature = signature_of(b"secret", "a list", "acme")

    def after(key, *kinds):
        return PageRequest(signature, decode_cursor(signature, encode_cursor(signature, key)), 1).after(*kinds)

    assert after([text], str) == text
    assert after([number, text], int, str) == (number, text)
    assert after([moment, UUID(int=1), text], datetime, UUID, str) == (moment, UUID(int=1), text)
    with pytest.raises(InvalidProblem):
        after([text, number], str)
    with pytest.raises(InvalidProblem):
        after([number], str)
    assert PageRequest(signature, None, 1).after(int) is None


@pytest.mark.parametrize("bad", [rb"\u0000", rb"\\\u0000", rb"\ud800", rb"\uDFFF", rb"\ud800x"])
def test_text_that_cannot_be_stored_is_found(bad):
    assert _BAD_TEXT.search(b'{"a": "' + bad + b'"}')


@pytest.mark.parametrize("good", [rb"\\u0000", rb"\ud83d\ude00", rb"\u00e9", b"\xf0\x9f\x98\x80"])
def test_text_that_can_be_stored_passes(good):
    assert not _BAD_TEXT.search(b'{"a": "' + good + b'"}')


def test_the_watchdog_names_who_is_overdue():
    now = [0.0]
    watchdog = Watchdog(lambda: now[0])
    watchdog.beat("relay", "it looked")
    assert watchdog.complaints() == []
    now[0] = LIMIT_SECONDS + 1
    assert watchdog.complaints() == [f"relay has not run for {LIMIT_SECONDS + 1:.0f} s, since it looked"]
    watchdog.beat("relay")
    watchdog.fail("consumer", "halted")
    assert watchdog.complaints() == ["consumer stopped: halted"]


@given(st.uuids())
def test_an_id_is_read_as_it_is_written(value):
    read = uuid_of(str(value))
    assert (read, hash(read), str(read), read.bytes) == (value, hash(value), str(value), value.bytes)
    for other in (f"{{{value}}}", f"urn:uuid:{value}", str(value)[1:], f"{value}0", f"g{str(value)[1:]}"):
        with pytest.raises(ValueError, match="UUID"):
            uuid_of(other)


def test_production_refuses_the_local_issuer():
    with pytest.raises(ValueError, match="OIDC_JWKS_URL must be https"):
        ServiceSettings(environment="production", oidc_jwks_url="file:///tmp/jwks.json")


@pytest.mark.parametrize("left_out", ["kafka_tls", "database_tls"])
def test_production_encrypts_what_it_tells_broker_and_database(left_out):
    secure = {
        "environment": "production",
        "oidc_jwks_url": "https://issuer/keys",
        "kafka_tls": True,
        "database_tls": True,
    }
    ServiceSettings(**secure)
    with pytest.raises(ValueError, match=f"{left_out.upper()} must be true"):
        ServiceSettings(**secure | {left_out: False})
    with pytest.raises(ValueError, match="does not point to a file"):
        ServiceSettings(**secure | {f"{left_out}_ca_file": "/nowhere/ca.pem"})


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg", "postgresql+psycopg"])
def test_a_database_is_named_with_any_driver_or_none(scheme):
    given = ServiceSettings(database_url=f"{scheme}://app:a%2Fb@db:5432/scoring?ssl=disable")
    assert given.database_url.get_secret_value() == "postgresql+asyncpg://app:a%2Fb@db:5432/scoring?ssl=disable"


@pytest.mark.parametrize("url", ["", "app:hunter2@db/x", "mysql://app:hunter2@db/x", "postgresql://app:hunter2@db:x/x"])
def test_what_is_no_database_of_ours_is_refused_without_telling_it(url, monkeypatch, capsys):
    with pytest.raises(ValueError, match=r"database_url.*\n.*is not of the form postgresql://") as refused:
        ServiceSettings(database_url=url)
    monkeypatch.setenv("MIGRATION_DATABASE_URL", url)
    assert migrate.migrate_all(["sample"]) == 2
    assert "hunter2" not in str(refused.value) + capsys.readouterr().err


def test_a_database_that_does_not_answer_is_named_in_a_line(monkeypatch, capsys):
    monkeypatch.setenv("MIGRATION_DATABASE_URL", "postgresql://owner:hunter2@127.0.0.1:1/sample")
    assert migrate.migrate_all(["sample"]) == 1
    told = capsys.readouterr().err
    assert "127.0.0.1" in told and "hunter2" not in told and "Traceback" not in told


@pytest.mark.parametrize(
    "wrong",
    [{"ENVIRONMENT": "production"}, {"ENVIRONMENT": "production", "OIDC_JWKS_URL": "https://issuer/keys"},
     {"DATABASE_POOL_SIZE": "many"}, {"DATABASE_URL": "", "KAFKA_TLS": "perhaps"}],
)  # fmt: skip
def test_settings_that_are_refused_keep_the_others_secrets(monkeypatch, wrong):
    secrets = {"DATABASE_URL": "postgresql://app:hunter2@db/scoring", "KAFKA_PASSWORD": "hunter2"}
    for name, value in {**secrets, **wrong}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="validation error") as refused:
        ServiceSettings()
    assert "hunter2" not in str(refused.value)


def test_pointers_escape_what_json_pointers_must():
    assert pointer("body", "a/b", "m~n", 0) == "/body/a~1b/m~0n/0"
