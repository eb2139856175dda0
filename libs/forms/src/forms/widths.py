"""How much of an assessment the CRM's fields hold: one table for those who write a form or give points, who are
warned, and for what is written to the CRM, which is shortened to it."""

from dataclasses import dataclass
from decimal import Decimal

_MORE = "…"


@dataclass(frozen=True, slots=True)
class TextWidth:
    """Texts of at most so many characters, as UTF-16 counts them: an emoji is two."""

    length: int

    def holds(self, text: str) -> bool:
        """Whether the text fits as it is."""
        return characters(text) <= self.length

    def shortened(self, text: str) -> str:
        """As much of the text as fits; what was left out shows as an ellipsis."""
        if self.holds(text):
            return text
        kept = text.encode("utf-16-le")[: 2 * (self.length - 1)]
        return kept.decode("utf-16-le", "ignore") + _MORE


@dataclass(frozen=True, slots=True)
class NumberWidth:
    """Numbers of at most so many digits in all, of which so many are behind the point; further ones are rounded."""

    digits: int
    decimals: int

    def holds(self, number: Decimal) -> bool:
        """Whether the number fits, once it is rounded."""
        half = Decimal(5).scaleb(-self.decimals - 1)
        return abs(number) < Decimal(10) ** (self.digits - self.decimals) - half


def characters(text: str) -> int:
    """How many UTF-16 characters the text has."""
    return len(text) + sum(letter > "\uffff" for letter in text)


KEY = TextWidth(80)
QUESTION_TEXT = TextWidth(255)
TEXT_ANSWER = TextWidth(32_768)
NUMBER_ANSWER = NumberWidth(18, 4)
POINTS = NumberWidth(9, 2)
MAX_POINTS = NumberWidth(9, 4)
SCORE = NumberWidth(9, 2)
