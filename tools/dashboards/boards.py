"""Every dashboard, in the order in which an SRE opens them."""

from tools.dashboards.business import BUSINESS
from tools.dashboards.kafka import KAFKA
from tools.dashboards.one_service import SERVICES, board_of
from tools.dashboards.overview import OVERVIEW
from tools.dashboards.salesforce import SALESFORCE
from tools.dashboards.slo import SLO

BOARDS = (OVERVIEW, *(board_of(service) for service in SERVICES), KAFKA, SALESFORCE, BUSINESS, SLO)
