"""Turns a board into Grafana's JSON: ids, places, references, links and variables are set here, once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from string import ascii_uppercase

from grafana_foundation_sdk.builders import bargauge, common, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.builders import prometheus as queries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from tools.dashboards.panels import COLUMNS, Board, Choice, Colour, Kind, Limits, Panel, Query
from tools.dashboards.promql import JOB

TAG = "stagecraft"
REFRESH = "30s"
PERIOD = ("now-1h", "now")
# Where runbooks are served from; the chart and the reader may put another address here.
RUNBOOKS = "/runbooks"
DATASOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
SCHEMA_OF_GRAFANA_11_6 = 41

Builder = timeseries.Panel | stat.Panel | bargauge.Panel | table.Panel


def to_json(board: Board) -> str:
    """The text of the committed file: the same for the same board."""
    dashboard = _dashboard(board).build()
    dashboard.schema_version = SCHEMA_OF_GRAFANA_11_6
    return json.dumps(dashboard, cls=JSONEncoder, indent=2, ensure_ascii=False) + "\n"


def runbook_url(alert: str) -> str:
    return f"${{runbooks}}/{alert}.md"


def _dashboard(board: Board) -> dashboards.Dashboard:
    built = (
        dashboards.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags([TAG])
        .refresh(REFRESH)
        .time(*PERIOD)
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .readonly()
        .link(_other_boards())
    )
    for variable in _variables(board):
        built.with_variable(variable)
    number, top = 0, 0
    for row in board.rows:
        number += 1
        place = models.GridPos(h=1, w=COLUMNS, x=0, y=top)
        built.with_row(dashboards.Row(row.title).id(number).grid_pos(place))
        for panel, x, y in _placed(row.panels, top + 1):
            number += 1
            built.with_panel(_panel(panel, number, models.GridPos(h=panel.height, w=panel.width, x=x, y=y)))
            top = max(top, y + panel.height)
    return built


def _placed(panels: tuple[Panel, ...], top: int) -> Iterator[tuple[Panel, int, int]]:
    """Each panel with its column and line: from left to right, in a new line where it does not fit any more."""
    x, y, tallest = 0, top, 0
    for panel in panels:
        if x + panel.width > COLUMNS:
            x, y, tallest = 0, y + tallest, 0
        yield panel, x, y
        x += panel.width
        tallest = max(tallest, panel.height)


def _panel(panel: Panel, number: int, place: models.GridPos) -> Builder:
    built = _drawn(panel)
    built.id(number).title(panel.title).description(panel.description).unit(panel.unit.value)
    built.datasource(DATASOURCE).grid_pos(place).no_value("none")
    built.links([_runbook_link(panel.runbook)])
    built.thresholds(_thresholds(panel.limits))
    if panel.words:
        built.mappings([_words(panel)])
    for reference, query in zip(ascii_uppercase, panel.queries, strict=False):
        built.with_target(_target(panel, query, reference))
    return built


def _drawn(panel: Panel) -> Builder:
    colour = dashboards.FieldColor().mode(models.FieldColorModeId.THRESHOLDS)
    newest = common.ReduceDataOptions().calcs(["lastNotNull"])
    match panel.kind:
        case Kind.NUMBER:
            number = stat.Panel().reduce_options(newest).color_mode(shapes.BigValueColorMode.BACKGROUND)
            number.graph_mode(shapes.BigValueGraphMode.AREA if not panel.words else shapes.BigValueGraphMode.NONE)
            return number.color_scheme(colour)
        case Kind.BARS:
            bars = bargauge.Panel().reduce_options(newest).orientation(shapes.VizOrientation.HORIZONTAL)
            return bars.display_mode(shapes.BarGaugeDisplayMode.BASIC).color_scheme(colour).min(0)
        case Kind.TABLE:
            return table.Panel().show_header(True).filterable(True)
        case Kind.GRAPH:
            return _graph(panel)


def _graph(panel: Panel) -> timeseries.Panel:
    legend = common.VizLegendOptions().show_legend(True).display_mode(shapes.LegendDisplayMode.TABLE)
    legend.placement(shapes.LegendPlacement.BOTTOM).calcs(["lastNotNull", "max"])
    tooltip = common.VizTooltipOptions().mode(shapes.TooltipDisplayMode.MULTI).sort(shapes.SortOrder.DESCENDING)
    graph = timeseries.Panel().legend(legend).tooltip(tooltip).line_width(1)
    # Areas of many lines hide each other.
    graph.fill_opacity(25 if panel.stacked else 8 if len(panel.queries) == 1 else 0).show_points(
        shapes.VisibilityMode.AUTO
    )
    graph.color_scheme(dashboards.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC))
    if panel.stacked:
        graph.stacking(common.StackingConfig().mode(shapes.StackingMode.NORMAL).group("all"))
    if panel.limits is not None:
        style = shapes.GraphThresholdsStyleMode.DASHED
        graph.thresholds_style(common.GraphThresholdsStyleConfig().mode(style))
    return graph.axis_soft_min(0)


def _target(panel: Panel, query: Query, reference: str) -> queries.Dataquery:
    target = queries.Dataquery().expr(query.expr).legend_format(query.legend or "__auto").ref_id(reference)
    target.datasource(DATASOURCE)
    match panel.kind:
        case Kind.TABLE:
            return target.instant().format(PromQueryFormat.TABLE)
        case Kind.BARS:
            return target.instant().format(PromQueryFormat.TIME_SERIES)
        case Kind.NUMBER | Kind.GRAPH:
            return target.range().format(PromQueryFormat.TIME_SERIES)


def _thresholds(limits: Limits | None) -> dashboards.ThresholdsConfig:
    """Grafana colours from each step's value upwards; the first has none."""
    if limits is None:
        steps = [models.Threshold(value=None, color=Colour.GREEN)]
    elif limits.falling:
        steps = [
            models.Threshold(value=None, color=Colour.RED),
            models.Threshold(value=limits.bad, color=Colour.ORANGE),
            models.Threshold(value=limits.doubtful, color=Colour.GREEN),
        ]
    else:
        steps = [
            models.Threshold(value=None, color=Colour.GREEN),
            models.Threshold(value=limits.doubtful, color=Colour.ORANGE),
            models.Threshold(value=limits.bad, color=Colour.RED),
        ]
    return dashboards.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def _words(panel: Panel) -> models.ValueMap:
    options = {
        str(value): models.ValueMappingResult(text=text, color=colour, index=index)
        for index, (value, (text, colour)) in enumerate(panel.words.items())
    }
    return models.ValueMap(options=options)


def _runbook_link(alert: str) -> dashboards.DashboardLink:
    link = dashboards.DashboardLink(f"Runbook: {alert}").type(models.DashboardLinkType.LINK)
    return link.url(runbook_url(alert)).tooltip("How to see it, what it means, what to do").target_blank(True)


def _other_boards() -> dashboards.DashboardLink:
    link = dashboards.DashboardLink("Stagecraft").type(models.DashboardLinkType.DASHBOARDS).tags([TAG])
    link.as_dropdown(True).keep_time(True).include_vars(True)
    return link.tooltip("The other dashboards, for the same period")


def _variables(board: Board) -> Iterator[dashboards.DatasourceVariable | dashboards.QueryVariable]:
    yield dashboards.DatasourceVariable("datasource").label("Data source").type("prometheus")
    if Choice.SERVICE in board.choices:
        yield _labels("service", "Service", f"label_values(service_info{{{JOB}}}, service)")
    if Choice.INSTANCE in board.choices:
        where = f'{JOB}, service="{board.service}"'
        yield _labels("instance", "Instance", f"label_values(up{{{where}}}, instance)")
    yield dashboards.TextBoxVariable("runbooks").label("Runbooks at").default_value(RUNBOOKS)  # type: ignore[misc]


def _labels(name: str, label: str, query: str) -> dashboards.QueryVariable:
    """A choice of several label values, which starts with all."""
    variable = dashboards.QueryVariable(name).label(label).datasource(DATASOURCE).query({"query": query, "refId": name})
    everything = models.VariableOption(text="All", value="$__all", selected=True)
    variable.multi(True).include_all(True).all_value(".+").current(everything)
    return variable.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(models.VariableSort.ALPHABETICAL_ASC)
