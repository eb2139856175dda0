"""What the connector refuses to start with."""

import pytest
from crm_connector.settings import Settings
from pydantic import ValidationError

PRODUCTION = {
    "environment": "production",
    "oidc_jwks_url": "https://issuer.example.com/keys",
    "kafka_tls": True,
    "kafka_username": "crm-connector",
    "database_tls": True,
    "crm_adapter": "salesforce",
    "salesforce_login_url": "https://login.salesforce.com",
    "salesforce_client_id": "key",
}


def test_which_crm_is_written_has_to_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CRM_ADAPTER", raising=False)
    with pytest.raises(ValidationError, match="crm_adapter"):
        Settings(environment="local")  # pyright: ignore[reportCallIssue]


def test_production_takes_what_is_safe() -> None:
    assert Settings(**PRODUCTION).crm_adapter == "salesforce"  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("unsafe", "setting"),
    [
        ({"crm_adapter": "recording"}, "CRM_ADAPTER"),
        ({"salesforce_login_url": "http://login.salesforce.com"}, "SALESFORCE_LOGIN_URL"),
        ({"salesforce_login_url": "login.salesforce.com"}, "SALESFORCE_LOGIN_URL"),
        ({"salesforce_login_url": "HTTP://login.salesforce.com"}, "SALESFORCE_LOGIN_URL"),
        ({"salesforce_pubsub_endpoint": "http://api.pubsub.salesforce.com:7443"}, "SALESFORCE_PUBSUB_ENDPOINT"),
        ({"salesforce_pubsub_endpoint": "//api.pubsub.salesforce.com:7443"}, "SALESFORCE_PUBSUB_ENDPOINT"),
        ({"kafka_username": ""}, "KAFKA_USERNAME"),
    ],
)
def test_production_refuses_what_is_not(unsafe: dict[str, str], setting: str) -> None:
    with pytest.raises(ValidationError, match=setting):
        Settings(**(PRODUCTION | unsafe))  # pyright: ignore[reportArgumentType]
    Settings(**(PRODUCTION | unsafe | {"environment": "test"}))  # pyright: ignore[reportArgumentType]
