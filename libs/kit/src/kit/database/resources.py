"""Objects that live as long as the application: caches of immutable definitions, clients, signals."""

from typing import TypeVar

T = TypeVar("T")


class Resources:
    """One instance per class, made at first use without arguments or put here by the wiring."""

    def __init__(self) -> None:
        self._instances: dict[type, object] = {}

    def get(self, kind: type[T]) -> T:
        """The application's instance of this class."""
        instance = self._instances.get(kind)
        if instance is None:
            instance = self._instances[kind] = kind()
        assert isinstance(instance, kind)
        return instance

    def put(self, instance: object, kind: type | None = None) -> None:
        """Make this the instance of its class, or of the protocol given."""
        self._instances[kind or type(instance)] = instance
