"""Where the charts are, and what belongs to each."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HELM = ROOT / "deploy/helm"
STAGECRAFT = HELM / "stagecraft"
INFRA = HELM / "stagecraft-infra"
EXPECTED = ROOT / "tests/deploy/chart"
# Schemas of custom resources, from their own projects. This repository does not contain them.
CRDS = ROOT.parent / "shared/data/crds"

SERVICES = ("assessment", "scoring", "stage-engine", "crm-connector", "recommender")

# The oldest version that Chart.yaml accepts, and the newest that is known.
KUBERNETES = ("1.31", "1.37")

# What a cluster with all operators serves. Without these, `Capabilities.APIVersions.Has` is false outside a cluster.
APIS = (
    "keda.sh/v1alpha1/ScaledObject",
    "external-secrets.io/v1/ExternalSecret",
    "gateway.networking.k8s.io/v1/HTTPRoute",
    "monitoring.coreos.com/v1/ServiceMonitor",
    "monitoring.coreos.com/v1/PrometheusRule",
    "postgresql.cnpg.io/v1/Cluster",
    "postgresql.cnpg.io/v1/Database",
    "kafka.strimzi.io/v1/Kafka",
    "kafka.strimzi.io/v1/KafkaNodePool",
    "kafka.strimzi.io/v1/KafkaTopic",
    "kafka.strimzi.io/v1/KafkaUser",
)


@dataclass(frozen=True)
class Variant:
    """A chart with values files, as it may be installed. What one with a `base` renders is shown beside that one."""

    name: str
    chart: Path
    values: tuple[str, ...]
    base: str = ""

    @property
    def files(self) -> list[Path]:
        """The values files, the later beating the earlier."""
        return [self.chart / name for name in self.values]


VARIANTS = (
    Variant("dev", STAGECRAFT, ("values-dev.yaml",)),
    Variant("production", STAGECRAFT, ("values-production.yaml",)),
    Variant("managed-kafka", STAGECRAFT, ("values-production.yaml", "values-managed-kafka.yaml"), "production"),
    Variant("managed-postgres", STAGECRAFT, ("values-production.yaml", "values-managed-postgres.yaml"), "production"),
    Variant("infra-dev", INFRA, ("values-dev.yaml",)),
    Variant("infra-production", INFRA, ("values-production.yaml",), "infra-dev"),
)
