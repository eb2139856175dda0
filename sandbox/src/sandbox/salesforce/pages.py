"""Two server-rendered pages to look at the org with: the list of opportunities and one record."""

from html import escape
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import HTMLResponse, Response

from sandbox.salesforce.clock import parse_time
from sandbox.salesforce.console import answers, assessments, history
from sandbox.salesforce.errors import NotFound
from sandbox.salesforce.rules import Record
from sandbox.salesforce.store import Org

PAGE_SIZE = 25

_STYLE = """
:root{--ink:#16202e;--soft:#5c6b7f;--line:#e3e8ef;--ground:#f4f6f9;--card:#fff;--brand:#0b5cab;
--good:#1d7a46;--bad:#b3261e;--tint:#e8f1fb}
@media(prefers-color-scheme:dark){:root{--ink:#e8edf4;--soft:#9aa8ba;--line:#2a3442;--ground:#10161e;
--card:#18212c;--brand:#6db3f8;--good:#5fd08f;--bad:#ff8a80;--tint:#1c2e42}}
*{box-sizing:border-box}body{margin:0;background:var(--ground);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
header{background:var(--card);border-bottom:3px solid var(--brand)}
header div,main{max-width:1180px;margin:auto;padding:14px 24px}
header a{font-weight:650;text-decoration:none;color:var(--ink)}header span{color:var(--soft);margin-left:10px}
a{color:var(--brand);text-decoration:none}a:hover{text-decoration:underline}
h1{font-size:24px;margin:14px 0 4px}h2{font-size:16px;margin:26px 0 10px}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;overflow:auto}
table{width:100%;border-collapse:collapse}th,td{padding:10px 14px;text-align:left;vertical-align:top}
th{font-size:12px;font-weight:600;color:var(--soft);border-bottom:1px solid var(--line);white-space:nowrap}
tr+tr td{border-top:1px solid var(--line)}tbody tr:hover{background:var(--ground)}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}.soft{color:var(--soft)}
.stage{background:var(--tint);color:var(--brand);border-radius:99px;padding:2px 10px;white-space:nowrap}
.won{color:var(--good)}.lost{color:var(--bad)}
form{display:flex;gap:8px;margin:14px 0;flex-wrap:wrap}input,select,button{font:inherit;color:inherit;
background:var(--card);border:1px solid var(--line);border-radius:8px;padding:8px 12px}
input{flex:1;min-width:200px}button{background:var(--brand);color:var(--card);border-color:var(--brand);
cursor:pointer}
.facts{display:grid;margin:0;grid-template-columns:repeat(auto-fill,minmax(200px,1fr));gap:14px 24px;padding:18px}
.facts dt{font-size:12px;color:var(--soft)}.facts dd{margin:0;font-weight:550}
.path{display:flex;gap:4px;margin:16px 0;overflow:auto}.path span{flex:1;text-align:center;padding:7px 12px;
background:var(--card);border:1px solid var(--line);border-radius:8px;color:var(--soft);white-space:nowrap}
.path .on{background:var(--brand);border-color:var(--brand);color:var(--card);font-weight:600}
nav{display:flex;justify-content:space-between;margin:14px 2px}
"""


def pages_router(org: Org) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def opportunity_list(q: str = "", stage: str = "", page: int = 1) -> Response:
        rows = [r for r in org.tables["Opportunity"].values() if not r.get("IsDeleted")]
        if q:
            rows = [r for r in rows if q.lower() in f"{r['Name']} {_account(org, r)} {r['Id']}".lower()]
        if stage:
            rows = [r for r in rows if r["StageName"] == stage]
        rows.sort(key=_recency, reverse=True)
        pages = max(1, -(-len(rows) // PAGE_SIZE))
        page = min(max(page, 1), pages)
        shown = rows[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]
        return HTMLResponse(_list_page(org, shown, len(rows), q, stage, page, pages))

    @router.get("/opportunity/{record_id}")
    async def opportunity_record(record_id: str) -> Response:
        record = org.tables["Opportunity"].get(record_id)
        if record is None or record.get("IsDeleted"):
            raise NotFound()
        return HTMLResponse(_record_page(org, record))

    return router


def _recency(record: Record) -> tuple[str, str, str]:
    """Sorts by what happened last: an assessment, else any change."""
    return record.get("Stagecraft_Last_Assessed__c", ""), record["LastModifiedDate"], record["Id"]


def _document(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        '<header><div><a href="/">Simulated Salesforce org</a>'
        f"<span>the CRM's side of the story</span></div></header><main>{body}</main></body></html>"
    )


def _list_page(org: Org, rows: list[Record], total: int, q: str, stage: str, page: int, pages: int) -> str:
    options = "".join(
        f'<option value="{escape(name)}"{" selected" if name == stage else ""}>{escape(name)}</option>'
        for name in _stage_names(org)
    )
    body = "".join(
        f'<tr><td><a href="/opportunity/{r["Id"]}">{escape(r["Name"])}</a>'
        f'<div class="soft">{escape(_account(org, r))}</div></td>'
        f'<td>{_stage(r)}</td><td class="n">{_money(r.get("Amount"))}</td>'
        f'<td class="n">{_points(r.get("Stagecraft_Score__c"))}</td>'
        f"<td>{_text(r.get('Stagecraft_Recommended_Stage__c'))}</td>"
        f"<td>{_moment(r.get('Stagecraft_Last_Assessed__c'))}</td>"
        f"<td>{escape(_user(org, r.get('OwnerId')))}</td></tr>"
        for r in rows
    )
    empty = '<tr><td colspan="7" class="soft">No opportunity matches.</td></tr>'
    heads = _heads("Opportunity", "Stage", "*Amount", "*Score", "Recommended", "Last assessed", "Owner")
    return _document(
        "Opportunities",
        f'<h1>Opportunities</h1><div class="soft">{total:,} found</div>'
        f'<form><input name="q" value="{escape(q)}" placeholder="Name, account or id" aria-label="Search">'
        f'<select name="stage" aria-label="Stage"><option value="">Every stage</option>{options}</select>'
        f'<button>Search</button></form><div class="card"><table>{heads}'
        f"<tbody>{body or empty}</tbody></table></div>{_turner(q, stage, page, pages)}",
    )


def _turner(q: str, stage: str, page: int, pages: int) -> str:
    def link(to: int, words: str) -> str:
        if not 1 <= to <= pages:
            return f'<span class="soft">{words}</span>'
        query = urlencode({"q": q, "stage": stage, "page": to})
        return f'<a href="/?{escape(query)}">{words}</a>'

    middle = f'<span class="soft">Page {page} of {pages}</span>'
    return f"<nav>{link(page - 1, '← Previous')}{middle}{link(page + 1, 'Next →')}</nav>"


def _record_page(org: Org, record: Record) -> str:
    steps = "".join(
        f"<span{' class=on' if name == record['StageName'] else ''}>{escape(name)}</span>" for name in _stage_names(org)
    )
    facts = (
        ("Account", escape(_account(org, record)) or "–"),
        ("Owner", escape(_user(org, record.get("OwnerId")))),
        ("Amount", _money(record.get("Amount"))),
        ("Close date", _text(record.get("CloseDate"))),
        ("Probability", f"{record.get('Probability', 0):g} %"),
        ("Forecast", _text(record.get("ForecastCategoryName"))),
        ("Stage since", _moment(record.get("LastStageChangeDate") or record["CreatedDate"])),
        ("Score", _points(record.get("Stagecraft_Score__c"))),
        ("Recommended stage", _text(record.get("Stagecraft_Recommended_Stage__c"))),
        ("Health", _text(record.get("Stagecraft_Health__c"))),
        ("Last assessed", _moment(record.get("Stagecraft_Last_Assessed__c"))),
        ("Last writer", _text(record.get("Stagecraft_Last_Writer__c"))),
        ("Next step", _text(record.get("NextStep"))),
        ("Changed by", escape(_user(org, record.get("LastModifiedById")))),
        ("Sync error", _text(record.get("Stagecraft_Sync_Error__c"))),
    )
    listed = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    return _document(
        record["Name"],
        f'<h1>{escape(record["Name"])}</h1><div class="soft">{record["Id"]}</div>'
        f'<div class="path">{steps}</div><div class="card"><dl class="facts">{listed}</dl></div>'
        f"{_assessments(org, record)}{_history(org, record)}",
    )


def _assessments(org: Org, record: Record) -> str:
    found = sorted(assessments(org, record["Id"]), key=lambda a: a.get("Completed_At__c", ""), reverse=True)
    if not found:
        return '<h2>Assessments</h2><div class="card facts soft">None yet.</div>'
    parts = ["<h2>Assessments</h2>"]
    for item in found:
        rows = sorted(answers(org, item["Id"]), key=lambda a: a.get("Sequence__c") or 0)
        body = "".join(
            f"<tr><td>{_text(a.get('Question_Text__c') or a.get('Question_Key__c'))}</td>"
            f'<td>{_answer(a)}</td><td class="n">{_points(a.get("Score__c"))}</td>'
            f'<td class="n">{_points(a.get("Weight__c"))}</td></tr>'
            for a in rows
        )
        score = _points(item.get("Score__c"))
        if item.get("Max_Score__c") is not None:
            score += f" / {_points(item['Max_Score__c'])}"
        template = f"{item.get('Template_Key__c', '')} {item.get('Template_Version__c', '')}".strip()
        completed = item.get("Completed_At__c")
        parts_of_title = [template, item.get("Stage__c"), f"score {score}", item.get("Result__c")]
        parts_of_title.append(_moment(completed) if completed else None)
        title = " · ".join([f"<b>{escape(item['Name'])}</b>", *(escape(t) for t in parts_of_title if t)])
        heads = _heads("Question", "Answer", "*Score", "*Weight")
        parts.append(f'<p>{title}</p><div class="card"><table>{heads}<tbody>{body}</tbody></table></div>')
    return "".join(parts)


def _history(org: Org, record: Record) -> str:
    body = "".join(
        f"<tr><td>{_moment(h.get('CreatedDate'))}</td><td>{_text(h.get('StageName'))}</td>"
        f'<td class="n">{_money(h.get("Amount"))}</td><td class="n">{h.get("Probability", 0):g} %</td>'
        f"<td>{_text(h.get('CloseDate'))}</td><td>{escape(_user(org, h.get('CreatedById')))}</td></tr>"
        for h in reversed(history(org, record["Id"]))
    )
    heads = _heads("When", "Stage", "*Amount", "*Probability", "Close date", "By")
    return f'<h2>History</h2><div class="card"><table>{heads}<tbody>{body}</tbody></table></div>'


def _heads(*names: str) -> str:
    """Table heads; a leading star aligns a column of numbers."""
    cells = "".join(f'<th class="n">{name[1:]}</th>' if name.startswith("*") else f"<th>{name}</th>" for name in names)
    return f"<thead><tr>{cells}</tr></thead>"


def _stage_names(org: Org) -> list[str]:
    rows = sorted(org.stages.values(), key=lambda s: s["SortOrder"])
    return [s["ApiName"] for s in rows if s["IsActive"]]


def _account(org: Org, record: Record) -> str:
    account = org.tables["Account"].get(record.get("AccountId", ""))
    return account["Name"] if account else ""


def _user(org: Org, user_id: str | None) -> str:
    user = org.tables["User"].get(user_id or "")
    return user["Name"] if user else "–"


def _stage(record: Record) -> str:
    tone = " won" if record.get("IsWon") else " lost" if record.get("IsClosed") else ""
    return f'<span class="stage{tone}">{escape(record["StageName"])}</span>'


def _answer(answer: Record) -> str:
    for name in ("Value_Text__c", "Value_Number__c", "Value_Date__c", "Value_Json__c"):
        value = answer.get(name)
        if value is not None:
            return escape(f"{value:,.10g}" if isinstance(value, float) else str(value))
    return "yes" if answer.get("Value_Boolean__c") else "no"


def _text(value: Any) -> str:
    return "–" if value in (None, "") else escape(str(value))


def _money(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _points(value: float | None) -> str:
    return "–" if value is None else f"{value:g}"


def _moment(value: str | None) -> str:
    return "–" if value is None else parse_time(value).strftime("%d %b %Y %H:%M")
