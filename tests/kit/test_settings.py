"""Settings that are refused."""

import pytest
from kit.database import migrate
from kit.settings import ServiceSettings


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
