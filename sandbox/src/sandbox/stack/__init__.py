"""PostgreSQL, Kafka, a simulated Salesforce org and the five services on one machine, on loopback only."""

from sandbox.stack.control import Stack
from sandbox.stack.errors import StackError

__all__ = ["Stack", "StackError"]
