"""What this service reads from its environment."""

from pathlib import Path
from typing import ClassVar, Literal

from kit.settings import ServiceSettings
from pydantic import Field, model_validator


class Settings(ServiceSettings):
    """Settings of the CRM connector. One deployment serves the one org of one tenant."""

    service: ClassVar[str] = "crm-connector"
    crm_adapter: Literal["salesforce", "recording"] = Field(
        description="`recording` counts every write as done and touches no CRM, so production refuses it"
    )
    salesforce_tenant: str = Field(default="acme", description="the tenant whose org this is")
    salesforce_login_url: str = Field(default="", description="login.salesforce.com, test.salesforce.com or My Domain")
    salesforce_auth_flow: Literal["jwt", "client_credentials"] = "jwt"
    salesforce_client_id: str = Field(default="", description="consumer key of the External Client App")
    salesforce_username: str = Field(default="", description="the integration user, for the JWT flow")
    salesforce_private_key_file: Path = Field(default=Path("connector.key.pem"), description="for the JWT flow")
    salesforce_client_secret_file: Path = Field(default=Path("client_secret"), description="for client credentials")
    salesforce_pubsub_endpoint: str = Field(
        default="api.pubsub.salesforce.com:7443", description="host:port with TLS, or http://host:port without"
    )
    salesforce_api_version: str = "67.0"
    salesforce_outcome_field: str = Field(
        default="Stagecraft_Outcome__c", description="the opportunity's field that says won, lost or abandoned"
    )
    salesforce_reason_field: str = Field(
        default="Stagecraft_Reason__c", description="the opportunity's field that says why it was lost"
    )
    salesforce_account_stage_field: str = Field(
        default="",
        description="the account's field that holds its stage in a pipeline of accounts; empty: there is none",
    )
    crm_poll_seconds: float = Field(default=2.0, gt=0, description="how often to look for work that was not announced")

    @model_validator(mode="after")
    def _complete(self) -> "Settings":
        if self.crm_adapter == "salesforce" and not (self.salesforce_login_url and self.salesforce_client_id):
            raise ValueError("CRM_ADAPTER=salesforce needs SALESFORCE_LOGIN_URL and SALESFORCE_CLIENT_ID")
        return self

    @model_validator(mode="after")
    def _crm_safe_in_production(self) -> "Settings":
        if self.environment != "production":
            return self
        if self.crm_adapter == "recording":
            raise ValueError("CRM_ADAPTER must not be recording in production: no write would reach a CRM")
        if not self.salesforce_login_url.startswith("https://"):
            raise ValueError(
                "SALESFORCE_LOGIN_URL must be https in production, or the credentials can be read on the way"
            )
        if "//" in self.salesforce_pubsub_endpoint:
            raise ValueError(
                "SALESFORCE_PUBSUB_ENDPOINT must be host:port in production, or the token can be read on the way"
            )
        if not self.kafka_username:
            raise ValueError("KAFKA_USERNAME must be set in production, or anyone may write our events")
        return self
