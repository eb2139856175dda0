"""Why the local stack could not start.

StackError
├── ProcessStartFailed    a process ended or stayed unready; carries its last log lines
├── PostgresUnavailable   no server given, none installed, or none may run here
├── KafkaUnavailable      the broker asked for cannot run here
└── StackStartFailed      what `up` reports when its supervisor gave up
"""

from __future__ import annotations


class StackError(Exception):
    """Something a person at the terminal must read; the message says what to do."""


class ProcessStartFailed(StackError):
    def __init__(self, name: str, reason: str, log: str) -> None:
        super().__init__(f"{name} {reason}\n{log}".rstrip())
        self.name = name


class PostgresUnavailable(StackError):
    pass


class KafkaUnavailable(StackError):
    pass


class StackStartFailed(StackError):
    pass
