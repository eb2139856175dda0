"""What conditions may cost: steps are counted while they are decided, and added up when a form is linted."""

from forms.javascript import Value, text

# What all conditions of a form may cost together: a few hundredths of a second.
MAX_STEPS = 30_000
_CHARACTERS_A_STEP = 50
_ONE_BY_ONE = frozenset({"=", "!=", "<", "<=", ">", ">="})


class TooManySteps(Exception):
    """The conditions of a form cost more than they may."""


class Steps:
    """How much the conditions of one form may still cost."""

    def __init__(self, left: int = MAX_STEPS) -> None:
        self.left = left

    def spend(self, steps: int) -> None:
        """Take these; TooManySteps when there are not as many left."""
        self.left -= steps
        if self.left < 0:
            raise TooManySteps


Size = tuple[int, int]


def size_of(value: Value) -> Size:
    """How many items a value has, and how many characters."""
    if isinstance(value, tuple):
        return len(value), sum(len(text(item)) for item in value)
    return 1, len(value) if isinstance(value, str) else 0


def cost(operator: str, left: Size, right: Size) -> int:
    """The steps of a comparison of values of these sizes: each item with each, and the characters looked at."""
    (items, characters), (other_items, other_characters) = left, right
    if operator in _ONE_BY_ONE:
        return 1 + items + other_items + (characters + other_characters) // _CHARACTERS_A_STEP
    return 1 + items * other_items + (characters * other_items + other_characters * items) // _CHARACTERS_A_STEP
