"""Several requests in one call: Composite, Composite Graph, and the references between subrequests."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from sandbox.salesforce import soql
from sandbox.salesforce.errors import ApiError, NotFound
from sandbox.salesforce.faults import Faults
from sandbox.salesforce.query import DEFAULT_BATCH, execute, render
from sandbox.salesforce.rows import Reply, RowRequest, perform
from sandbox.salesforce.store import Org, Transaction

MAX_GRAPHS = 75
MAX_NODES = 500
MAX_DEPTH = 15
MAX_TYPES = 15
MAX_FAILED_GRAPHS = 14
MAX_SUBREQUESTS = 25
MAX_SUBQUERIES = 5

_URL = re.compile(r"/services/data/v(\d+\.\d)/(sobjects|query)(?:/(.*))?")
_REFERENCE = re.compile(r"@\{([A-Za-z][A-Za-z0-9_]*)\.([^}]+)\}")
_REFERENCE_ID = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_ROLLED_BACK = "The transaction was rolled back since another operation in the same transaction failed."
_HALTED = "Processing was halted because another operation failed."


@dataclass(frozen=True, slots=True)
class Writer:
    """Who calls, and what their changes will carry as origin."""

    user: str
    origin: str

    def begin(self, org: Org) -> Transaction:
        return Transaction(org, user=self.user, origin=self.origin)


def run_graphs(org: Org, writer: Writer, payload: Any, faults: Faults) -> dict[str, Any]:
    """Runs each graph of `POST /composite/graph` in a transaction of its own."""
    graphs = payload.get("graphs") if isinstance(payload, dict) else None
    if not isinstance(graphs, list) or not graphs:
        raise ApiError("JSON_PARSER_ERROR", "graphs: a list of graphs is required")
    if len(graphs) > MAX_GRAPHS:
        raise ApiError("LIMIT_EXCEEDED", f"A payload may hold at most {MAX_GRAPHS} graphs")
    failed = 0
    results: list[dict[str, Any]] = []
    for graph in graphs:
        if failed >= MAX_FAILED_GRAPHS:
            nodes = graph.get("compositeRequest") or []
            replies = [_failure(node, ApiError("PROCESSING_HALTED", _HALTED)) for node in nodes]
            results.append(_graph_result(graph, False, replies))
            continue
        result = _run_graph(org, writer, graph, faults)
        failed += not result["isSuccessful"]
        results.append(result)
    return {"graphs": results}


def _run_graph(org: Org, writer: Writer, graph: dict[str, Any], faults: Faults) -> dict[str, Any]:
    nodes = graph.get("compositeRequest")
    if not isinstance(nodes, list) or not nodes or not graph.get("graphId"):
        raise ApiError("JSON_PARSER_ERROR", "each graph needs graphId and compositeRequest")
    transaction = writer.begin(org)
    replies: list[dict[str, Any]] = []
    bodies: dict[str, Any] = {}
    try:
        _check_graph(nodes)
    except ApiError as error:
        return _graph_result(graph, False, [_failure(node, error) for node in nodes])
    for at, node in enumerate(nodes):
        try:
            _meet_fault(faults, node)
            reply = perform(transaction, _row_request(node, bodies))
        except ApiError as error:
            halted = ApiError("PROCESSING_HALTED", _ROLLED_BACK)
            replies = [_failure(n, error if i == at else halted) for i, n in enumerate(nodes)]
            return _graph_result(graph, False, replies)
        bodies[node["referenceId"]] = reply.body
        replies.append(_success(node, reply))
    org.commit(transaction)
    return _graph_result(graph, True, replies)


def _meet_fault(faults: Faults, node: dict[str, Any]) -> None:
    fault = faults.take(str(node.get("url")), within=True)
    error = fault.error() if fault else None
    if error is not None:
        raise error


def _graph_result(graph: dict[str, Any], good: bool, replies: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "graphId": graph.get("graphId"),
        "graphResponse": {"compositeResponse": replies},
        "isSuccessful": good,
    }


def _check_graph(nodes: list[dict[str, Any]]) -> None:
    """Raises ApiError if the graph breaks a limit or refers to what does not come before."""
    if len(nodes) > MAX_NODES:
        raise ApiError("LIMIT_EXCEEDED", f"A graph may hold at most {MAX_NODES} nodes")
    depths = _depths(nodes)
    if max(depths.values()) > MAX_DEPTH:
        raise ApiError("LIMIT_EXCEEDED", f"A graph may be at most {MAX_DEPTH} levels deep")
    types: set[str] = set()
    for node in nodes:
        match = _URL.fullmatch(urlsplit(node.get("url", "")).path)
        if match is None or match[2] != "sobjects" or not match[3]:
            raise ApiError("INVALID_INPUT", f"unsupported url in a graph: {node.get('url')}")
        types.add(match[3].split("/")[0].lower())
    if len(types) > MAX_TYPES:
        raise ApiError("LIMIT_EXCEEDED", f"A graph may hold at most {MAX_TYPES} types of nodes")


def _depths(nodes: list[dict[str, Any]]) -> dict[str, int]:
    depths: dict[str, int] = {}
    for node in nodes:
        reference = node.get("referenceId")
        if not isinstance(reference, str) or not _REFERENCE_ID.fullmatch(reference):
            raise ApiError("INVALID_INPUT", f"referenceId must be letters, digits and _: {reference}")
        if reference in depths:
            raise ApiError("INVALID_INPUT", f"duplicate referenceId: {reference}")
        text = f"{node.get('url')}{node.get('body')}"
        parents = {match[1] for match in _REFERENCE.finditer(text)} if "@{" in text else set[str]()
        unknown = parents - depths.keys()
        if unknown:
            raise ApiError("INVALID_INPUT", f"Invalid reference specified. No value for {min(unknown)} found")
        depths[reference] = 1 + max((depths[p] for p in parents), default=0)
    return depths


def run_composite(org: Org, writer: Writer, payload: Any) -> dict[str, Any]:
    """Runs `POST /composite`: one transaction, undone as a whole if `allOrNone`."""
    nodes = payload.get("compositeRequest") if isinstance(payload, dict) else None
    if not isinstance(nodes, list) or not nodes:
        raise ApiError("JSON_PARSER_ERROR", "compositeRequest: a list of subrequests is required")
    queries = sum("/query" in str(node.get("url")) for node in nodes)
    if len(nodes) > MAX_SUBREQUESTS or queries > MAX_SUBQUERIES:
        message = f"at most {MAX_SUBREQUESTS} subrequests, {MAX_SUBQUERIES} of them queries"
        raise ApiError("LIMIT_EXCEEDED", message)
    all_or_none = bool(payload.get("allOrNone"))
    _depths(nodes)
    transaction = writer.begin(org)
    replies: list[dict[str, Any]] = []
    bodies: dict[str, Any] = {}
    for at, node in enumerate(nodes):
        try:
            reply = _subrequest(org, transaction, node, bodies)
        except ApiError as error:
            if all_or_none:
                halted = ApiError("PROCESSING_HALTED", _ROLLED_BACK)
                failures = [_failure(n, error if i == at else halted) for i, n in enumerate(nodes)]
                return {"compositeResponse": failures}
            replies.append(_failure(node, error))
            continue
        bodies[node["referenceId"]] = reply.body
        replies.append(_success(node, reply))
    org.commit(transaction)
    return {"compositeResponse": replies}


def _subrequest(org: Org, transaction: Transaction, node: dict[str, Any], bodies: dict[str, Any]) -> Reply:
    url = urlsplit(_resolved(node.get("url", ""), bodies))
    match = _URL.fullmatch(url.path.rstrip("/"))
    if match is None or match[2] != "query":
        return perform(transaction, _row_request(node, bodies))
    text = dict(parse_qsl(url.query)).get("q", "")
    result = execute(org, soql.parse(text), deleted=False)
    rows = [render(org, result, i, match[1]) for i in result.ids[:DEFAULT_BATCH]]
    total = len(result.ids) if result.counted is None else result.counted
    return Reply(200, {"totalSize": total, "done": True, "records": rows})


def _row_request(node: dict[str, Any], bodies: dict[str, Any]) -> RowRequest:
    url = urlsplit(_resolved(node.get("url", ""), bodies))
    match = _URL.fullmatch(url.path.rstrip("/"))
    if match is None or match[2] != "sobjects" or not match[3]:
        raise NotFound()
    headers = {name.lower(): value for name, value in (node.get("httpHeaders") or {}).items()}
    return RowRequest(
        method=str(node.get("method", "")).upper(),
        path=tuple(unquote(part) for part in match[3].split("/", 2)),
        version=match[1],
        params=dict(parse_qsl(url.query)),
        body=_resolved(node.get("body"), bodies),
        unmodified_since=headers.get("if-unmodified-since"),
    )


def _resolved(value: Any, bodies: dict[str, Any]) -> Any:
    """Replaces `@{reference.field}` everywhere in a url or body."""
    if isinstance(value, str):
        if "@{" not in value:
            return value
        whole = _REFERENCE.fullmatch(value)
        if whole:
            return _referred(whole, bodies)
        return _REFERENCE.sub(lambda match: str(_referred(match, bodies)), value)
    if isinstance(value, dict):
        return {name: _resolved(item, bodies) for name, item in value.items()}
    if isinstance(value, list):
        return [_resolved(item, bodies) for item in value]
    return value


def _referred(match: re.Match[str], bodies: dict[str, Any]) -> Any:
    if match[1] not in bodies:
        raise ApiError("PROCESSING_HALTED", _HALTED)
    value = bodies[match[1]]
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", match[2]):
        try:
            value = value[name] if name else value[int(index)]
        except (KeyError, IndexError, TypeError):
            message = f"Invalid reference specified. No value for {match[1]}.{match[2]} found"
            raise ApiError("INVALID_INPUT", message) from None
    return value


def _success(node: dict[str, Any], reply: Reply) -> dict[str, Any]:
    return {
        "body": reply.body,
        "httpHeaders": {"Location": reply.location} if reply.location else {},
        "httpStatusCode": reply.status,
        "referenceId": node["referenceId"],
    }


def _failure(node: dict[str, Any], error: ApiError) -> dict[str, Any]:
    return {
        "body": error.rest(),
        "httpHeaders": {},
        "httpStatusCode": error.status,
        "referenceId": node.get("referenceId"),
    }
