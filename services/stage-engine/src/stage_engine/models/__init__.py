"""The tables. `pipeline_version`, `mode_switching`, `decision` and `transition` are append-only; `score_reach` is a
replica of what the scoring service published; what waits for an opportunity is in the kit's `parked`. `Base` knows all
of them once this package is imported."""

from stage_engine.models import figures, opportunities, partner_feeds, pending, pipelines, work
from stage_engine.models.base import Base

__all__ = ["Base", "figures", "opportunities", "partner_feeds", "pending", "pipelines", "work"]
