"""Reads the public "CRM Sales Opportunities" set (Maven Analytics) as a world: accounts, teams, opportunities, dates.

`sales_pipeline.csv`, `accounts.csv`, `products.csv` and `sales_teams.csv` are in one folder. Dates are `dd-mm-yy`.
Misspelt and missing values are repaired, and each kind of repair is noted.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from random import Random

from sandbox.story.world import (
    CLOSED_LOST,
    CLOSED_WON,
    DISCOVERY,
    PROSPECTING,
    Account,
    Opportunity,
    Rep,
    World,
)

FILES = ("sales_pipeline.csv", "accounts.csv", "products.csv", "sales_teams.csv")
STAGE_OF: Mapping[str, str] = {
    "Prospecting": PROSPECTING,
    "Engaging": DISCOVERY,
    "Won": CLOSED_WON,
    "Lost": CLOSED_LOST,
}
PRODUCT_OF: Mapping[str, str] = {"GTXPro": "GTX Pro"}
SECTOR_OF: Mapping[str, str] = {"technolgy": "technology"}
COUNTRY_OF: Mapping[str, str] = {"Philipines": "Philippines"}
MILLION = Decimal(1_000_000)
Row = Mapping[str, str]


class DataSetNotFound(Exception):
    """The folder does not hold the four files."""


def read_world(folder: Path, seed: int) -> World:
    """The data set as a world. It does not say who is an optimist and who works offline; the seed decides that.

    Raises DataSetNotFound.
    """
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise DataSetNotFound(f"{folder} lacks {', '.join(missing)}")
    pipeline, account_rows, products, teams = (_rows(folder / name) for name in FILES)
    repaired: Counter[str] = Counter()
    prices = {row["product"]: Decimal(row["sales_price"]) for row in products}
    accounts = [_account(row, repaired) for row in account_rows]
    last_day = max(day for row in pipeline for day in (_day(row["engage_date"]), _day(row["close_date"])) if day)
    opportunities = tuple(_opportunity(row, prices, last_day, repaired) for row in pipeline)
    notes = tuple(f"{count:,} × {what}" for what, count in repaired.items())
    return World(tuple(accounts), tuple(_rep(row, seed) for row in teams), opportunities, notes)


def _rows(file: Path) -> list[Row]:
    with file.open(newline="", encoding="utf-8-sig") as lines:
        return list(csv.DictReader(lines))


def _day(text: str) -> date | None:
    return datetime.strptime(text, "%d-%m-%y").date() if text else None  # noqa: DTZ007 - a calendar day


def _repair(value: str, right: Mapping[str, str], repaired: Counter[str]) -> str:
    if value in right:
        repaired[f"{value} read as {right[value]}"] += 1
    return right.get(value, value)


def _account(row: Row, repaired: Counter[str]) -> Account:
    return Account(
        key=row["account"],
        name=row["account"],
        industry=_repair(row["sector"], SECTOR_OF, repaired),
        country=_repair(row["office_location"], COUNTRY_OF, repaired),
        employees=int(row["employees"]),
        revenue=Decimal(row["revenue"]) * MILLION,
    )


def _rep(row: Row, seed: int) -> Rep:
    chance = Random(f"rep:{seed}:{row['sales_agent']}")
    first, _, last = row["sales_agent"].partition(" ")
    return Rep(
        key=_rep_key(row["sales_agent"]),
        first_name=first,
        last_name=last,
        manager=row["manager"],
        region=row["regional_office"],
        optimism=chance.uniform(0.5, 0.8) if chance.random() < 0.4 else chance.uniform(0.02, 0.12),
        offline=chance.random() < 0.3,
    )


def _rep_key(agent: str) -> str:
    return agent.lower().replace(" ", ".")


def _opportunity(row: Row, prices: Mapping[str, Decimal], last_day: date, repaired: Counter[str]) -> Opportunity:
    stage = STAGE_OF[row["deal_stage"]]
    product = _repair(row["product"], PRODUCT_OF, repaired)
    account = row["account"]
    if not account:
        repaired["opportunity without an account, named by its product"] += 1
    created, closed = _day(row["engage_date"]), _day(row["close_date"])
    if created is None:
        repaired[f"opportunity without a date of first contact, set to {last_day}"] += 1
    if closed is None:
        repaired[f"open opportunity without a close date, set to {last_day}"] += 1
    value = Decimal(row["close_value"] or 0)
    if not value:
        repaired["open or lost opportunity without a value, set to its product's list price"] += 1
    return Opportunity(
        key=row["opportunity_id"],
        name=f"{account} – {product}" if account else f"{product} ({row['opportunity_id']})",
        account_key=account,
        rep_key=_rep_key(row["sales_agent"]),
        amount=(value or prices[product]).quantize(Decimal("0.01")),
        created_on=created or last_day,
        close_on=closed or last_day,
        claimed=stage,
        supported=stage,
    )
