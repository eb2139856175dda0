"""Opens the adapter that the settings name."""

from kit.http.client import http_client

from crm_connector.crm import Crm
from crm_connector.recording import RecordingCrm
from crm_connector.salesforce.adapter import SalesforceCrm
from crm_connector.salesforce.auth import ClientCredentials, JwtBearer, Sessions
from crm_connector.salesforce.http import TIMEOUT_SECONDS
from crm_connector.salesforce.objects import subject_objects
from crm_connector.salesforce.pubsub import PubSub
from crm_connector.salesforce.rest import Rest
from crm_connector.settings import Settings


class Link:
    """Holds the one adapter of the process, so that its session outlives tasks that fail and start again."""

    def __init__(self) -> None:
        self._crm: Crm | None = None

    def crm(self, settings: Settings) -> Crm:
        """The adapter, opened at the first call."""
        self._crm = self._crm or open_crm(settings)
        return self._crm


def open_crm(settings: Settings) -> Crm:
    """The adapter that the settings name."""
    if settings.crm_adapter == "recording":
        return RecordingCrm()
    http = http_client(timeout_seconds=TIMEOUT_SECONDS)
    credentials = (
        JwtBearer(
            settings.salesforce_client_id,
            settings.salesforce_username,
            settings.salesforce_login_url,
            settings.salesforce_private_key_file,
        )
        if settings.salesforce_auth_flow == "jwt"
        else ClientCredentials(settings.salesforce_client_id, settings.salesforce_client_secret_file)
    )
    sessions = Sessions(http, settings.salesforce_login_url, credentials)
    rest = Rest(http, sessions, settings.salesforce_api_version)
    objects = subject_objects(
        settings.salesforce_outcome_field, settings.salesforce_reason_field, settings.salesforce_account_stage_field
    )
    pubsub = PubSub(settings.salesforce_pubsub_endpoint, sessions)
    return SalesforceCrm(http, rest, sessions, pubsub, objects)
