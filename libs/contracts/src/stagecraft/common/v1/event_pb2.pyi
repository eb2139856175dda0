from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor
EVENT_FIELD_NUMBER: _ClassVar[int]
event: _descriptor.FieldDescriptor

class EventOptions(_message.Message):
    __slots__ = ("topic", "aggregate_field", "max_bytes")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    AGGREGATE_FIELD_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    topic: str
    aggregate_field: str
    max_bytes: int
    def __init__(self, topic: _Optional[str] = ..., aggregate_field: _Optional[str] = ..., max_bytes: _Optional[int] = ...) -> None: ...
