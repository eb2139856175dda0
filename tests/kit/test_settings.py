"""Settings that are refused."""

import pytest
from kit.schema import migrate
from kit.settings import ServiceSettings

SAFE = {
    "environment": "production",
    "oidc_jwks_url": "https://issuer/keys",
    "oidc_issuer": "https://issuer",
    "kafka_tls": True,
    "kafka_username": "scoring",
    "database_tls": True,
}
UNSAFE = {
    "oidc_jwks_url": "file:///tmp/jwks.json",
    "oidc_issuer": "http://issuer",
    "kafka_tls": False,
    "kafka_username": "",
    "database_tls": False,
}


def test_the_environment_has_no_default(monkeypatch):
    monkeypatch.delenv("ENVIRONMENT")
    with pytest.raises(ValueError, match="environment\n  Field required"):
        ServiceSettings(**{name: value for name, value in SAFE.items() if name != "environment"})


@pytest.mark.parametrize("name", UNSAFE)
def test_production_refuses_what_is_unsafe(name):
    assert not ServiceSettings(**SAFE).unsafe()
    with pytest.raises(ValueError, match=f"{name.upper()} must be"):
        ServiceSettings(**SAFE | {name: UNSAFE[name]})
    ServiceSettings(**SAFE | {name: UNSAFE[name], "environment": "test"})


def test_production_says_all_that_is_unsafe_at_once():
    with pytest.raises(ValueError) as refused:
        ServiceSettings(**SAFE | UNSAFE)
    assert all(f"{name.upper()} must be" in str(refused.value) for name in UNSAFE)


def test_a_certificate_file_must_exist():
    for name in ("kafka_tls_ca_file", "database_tls_ca_file"):
        with pytest.raises(ValueError, match="does not point to a file"):
            ServiceSettings(**SAFE | {name: "/nowhere/ca.pem"})


def test_production_shows_its_documentation_only_when_told_to():
    assert not ServiceSettings(**SAFE).shows_docs
    assert ServiceSettings(**SAFE, public_docs=True).shows_docs
    assert ServiceSettings(environment="local").shows_docs


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


@pytest.mark.parametrize(
    "wrong",
    [{"ENVIRONMENT": "production"}, {"ENVIRONMENT": "staging"},
     {"DATABASE_POOL_SIZE": "many"}, {"DATABASE_URL": "", "KAFKA_TLS": "perhaps"}],
)  # fmt: skip
def test_settings_that_are_refused_keep_the_others_secrets(monkeypatch, wrong):
    secrets = {"DATABASE_URL": "postgresql://app:hunter2@db/scoring", "KAFKA_PASSWORD": "hunter2"}
    for name, value in {**secrets, **wrong}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="validation error") as refused:
        ServiceSettings()
    assert "hunter2" not in str(refused.value)
