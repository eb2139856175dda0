"""What this service reads from its environment."""

from pathlib import Path
from typing import ClassVar, Literal

from kit.settings import ServiceSettings
from pydantic import Field, model_validator


class Settings(ServiceSettings):
    """Settings of the CRM connector. One deployment serves the one org of one tenant."""

    service: ClassVar[str] = "crm-connector"
    crm_adapter: Literal["salesforce", "recording"] = Field(
        default="recording", description="`recording` counts every write as done and touches no CRM"
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
    crm_poll_seconds: float = Field(default=2.0, gt=0, description="how often to look for work that was not announced")

    @model_validator(mode="after")
    def _complete(self) -> "Settings":
        if self.crm_adapter == "salesforce" and not (self.salesforce_login_url and self.salesforce_client_id):
            raise ValueError("CRM_ADAPTER=salesforce needs SALESFORCE_LOGIN_URL and SALESFORCE_CLIENT_ID")
        return self
