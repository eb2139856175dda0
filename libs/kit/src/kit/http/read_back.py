"""What was read may be changed and sent back whole."""

from typing import Any, ClassVar

from pydantic import BaseModel, model_validator


class ReadBack(BaseModel):
    """A body whose resource has more members when it is read. Those in `only_read` may come back, and change nothing;
    any other that is unknown is refused."""

    only_read: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _without_what_is_only_read(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        only_read = cls.only_read - cls.model_fields.keys()
        return {name: value for name, value in data.items() if name not in only_read}
