"""Invents a sales team and its opportunities from a seed: the same seed, size and day give the same world."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from random import Random

from sandbox.story.world import (
    CLOSED_LOST,
    CLOSED_WON,
    DEMO,
    DISCOVERY,
    NEGOTIATION,
    OPEN_STAGES,
    PROSPECTING,
    Account,
    Opportunity,
    Rep,
    World,
)

OPPORTUNITIES_PER_REP = 55
OPPORTUNITIES_PER_ACCOUNT = 8
MOST_REPS = 40
# Where a team says its opportunities are, in percent.
CLAIMED = {PROSPECTING: 34, DISCOVERY: 24, DEMO: 18, NEGOTIATION: 12, CLOSED_WON: 5, CLOSED_LOST: 7}
OPTIMISTS = 0.4
OFFLINE = 0.3

_FIRST = (
    "Ada Amir Bea Boris Carla Chen Dalia Dev Elif Emil Fatou Felix Gina Goran Hana Hugo Ines Ivan Jana Jonas "
    "Kaya Kofi Lena Luis Maya Milan Nadia Noah Olga Omar Petra Ravi Rosa Sami Tara Tomas Uma Vera Yusuf Zoe"
).split()
_LAST = (
    "Abbott Almeida Bauer Bianchi Castro Dahl Diallo Eriksen Fischer Fontaine Garcia Haddad Horvat Ivanova Jansen "
    "Kaplan Keller Kim Larsen Lopez Marino Mbeki Mehta Moreau Nakamura Novak Okafor Olsen Petrov Quinn Rossi "
    "Sato Silva Sorel Tanaka Ullman Varga Weiss Yilmaz Zeman"
).split()
_MANAGERS = ("Irene Falk", "Marcus Oyelaran", "Sofia Brandt", "Daniel Reyes")
_REGIONS = ("North", "East", "South", "West")
_PLACES = (
    "Alder Amber Birch Cedar Cobalt Coral Delta Ember Falcon Granite Harbor Heron Indigo Juniper Lark Linden Maple "
    "Meridian Northgate Oak Orchard Pine Quarry Raven Ridge River Saffron Sierra Slate Summit Tide Vale Willow"
).split()
_TRADES = (
    ("Foods", "Food"),
    ("Logistics", "Transport"),
    ("Medical", "Healthcare"),
    ("Energy", "Utilities"),
    ("Textiles", "Manufacturing"),
    ("Retail", "Retail"),
    ("Insurance", "Finance"),
    ("Software", "Technology"),
    ("Hotels", "Hospitality"),
)
_COUNTRIES = ("Germany", "France", "Spain", "Poland", "Sweden", "Canada", "United States", "Brazil", "Japan", "Kenya")
_PRODUCTS = ("data platform", "audit package", "reporting suite", "plant pilot", "migration", "renewal and extension")


def invent_world(seed: int, opportunity_count: int, today: date) -> World:
    """A team with `opportunity_count` opportunities, created over the half year before `today`."""
    chance = Random(f"world:{seed}")
    rep_count = max(4, min(MOST_REPS, opportunity_count // OPPORTUNITIES_PER_REP))
    accounts = _accounts(max(5, opportunity_count // OPPORTUNITIES_PER_ACCOUNT), chance)
    reps = _reps(rep_count, chance)
    opportunities = tuple(
        _opportunity(number, accounts, reps, today, chance) for number in range(1, opportunity_count + 1)
    )
    return World(accounts, reps, opportunities)


def _reps(count: int, chance: Random) -> tuple[Rep, ...]:
    first, last = chance.sample(_FIRST, count), chance.sample(_LAST, count)
    optimists = set(chance.sample(range(count), round(count * OPTIMISTS)))
    offline = set(chance.sample(range(count), round(count * OFFLINE)))
    return tuple(
        Rep(
            key=f"{first[n]}.{last[n]}".lower(),
            first_name=first[n],
            last_name=last[n],
            manager=_MANAGERS[n % len(_MANAGERS)],
            region=_REGIONS[n % len(_REGIONS)],
            optimism=chance.uniform(0.5, 0.8) if n in optimists else chance.uniform(0.02, 0.12),
            offline=n in offline,
        )
        for n in range(count)
    )


def _accounts(count: int, chance: Random) -> tuple[Account, ...]:
    companies = [(place, *trade) for place in _PLACES for trade in _TRADES]
    accounts: list[Account] = []
    for place, trade, industry in chance.sample(companies, min(count, len(companies))):
        employees = int(chance.lognormvariate(6, 1.2)) + 5
        accounts.append(
            Account(
                key=f"A-{len(accounts) + 1:03}",
                name=f"{place} {trade}",
                industry=industry,
                country=chance.choice(_COUNTRIES),
                employees=employees,
                revenue=Decimal(employees * chance.randint(90, 260) * 1000),
            )
        )
    return tuple(accounts)


def _opportunity(
    number: int, accounts: tuple[Account, ...], reps: tuple[Rep, ...], today: date, chance: Random
) -> Opportunity:
    account, rep = chance.choice(accounts), chance.choice(reps)
    claimed = chance.choices(tuple(CLAIMED), weights=tuple(CLAIMED.values()))[0]
    created = today - timedelta(days=chance.randint(10, 180))
    if claimed in OPEN_STAGES:
        close = today + timedelta(days=chance.randint(5, 160))
    else:
        close = created + timedelta(days=chance.randint(5, (today - created).days))
    return Opportunity(
        key=f"D-{number:05}",
        name=f"{account.name} – {chance.choice(_PRODUCTS)}",
        account_key=account.key,
        rep_key=rep.key,
        amount=Decimal(round(min(chance.lognormvariate(9.8, 0.9), 400_000), -2)).quantize(Decimal("0.01")),
        created_on=created,
        close_on=close,
        claimed=claimed,
        supported=claimed,
    )
