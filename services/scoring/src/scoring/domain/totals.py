"""From the points of single questions to section scores and the total."""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal

from scoring.domain.profile import ZERO, Profile, Section, SectionFunction, TotalOver

HUNDRED = Decimal(100)
LEAST_PERCENT = Decimal(-1_000_000)


def quantise(number: Decimal, quantum: Decimal) -> Decimal:
    return number.quantize(quantum, rounding=ROUND_HALF_UP)


def total(profile: Profile, points: Mapping[str, Decimal]) -> Decimal:
    """The raw total of the counted questions' weighted points.

    It never falls when the points of a question rise, which is why the best total comes from the best answers.
    """
    if profile.total_over is TotalOver.QUESTIONS:
        raw = sum(points.values(), ZERO)
    else:
        raw = sum((section_points(profile, section, points) or ZERO for section in profile.sections), ZERO)
    return max(raw, ZERO) if profile.floor_zero else raw


def section_points(profile: Profile, section: Section, points: Mapping[str, Decimal]) -> Decimal | None:
    """Points of a section, or None when none of its questions counts on this path.

    A mean is rounded to the profile's quantum, so that everything summed up from it is exact.
    """
    counted = [points[key] for key in section.question_keys if key in points]
    if not counted:
        return None
    match section.function:
        case SectionFunction.SUM:
            return sum(counted, ZERO)
        case SectionFunction.MEAN:
            return quantise(sum(counted, ZERO) / len(counted), profile.quantum)
        case SectionFunction.MIN:
            return min(counted)
        case SectionFunction.MAX:
            return max(counted)


def percent_of(points: Decimal, maximum: Decimal, quantum: Decimal) -> Decimal:
    """Points as a percentage of the maximum, rounded half up to the quantum; never above 100, nor below what the engine
    can hold.

    Where nothing can be reached (a maximum of 0 or less) the percentage is 0: it proves nothing, and 100 would pass
    every rule.
    """
    if maximum <= 0:
        return quantise(ZERO, quantum)
    return quantise(min(max(points * HUNDRED / maximum, LEAST_PERCENT), HUNDRED), quantum)
