import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from stagecraft.common.v1 import event_pb2 as _event_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PersonObserved(_message.Message):
    __slots__ = ("person_id", "active", "manager_id", "identities", "committed_at", "change_id")
    PERSON_ID_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    MANAGER_ID_FIELD_NUMBER: _ClassVar[int]
    IDENTITIES_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_AT_FIELD_NUMBER: _ClassVar[int]
    CHANGE_ID_FIELD_NUMBER: _ClassVar[int]
    person_id: str
    active: bool
    manager_id: str
    identities: _containers.RepeatedCompositeFieldContainer[Identity]
    committed_at: _timestamp_pb2.Timestamp
    change_id: str
    def __init__(self, person_id: _Optional[str] = ..., active: _Optional[bool] = ..., manager_id: _Optional[str] = ..., identities: _Optional[_Iterable[_Union[Identity, _Mapping]]] = ..., committed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., change_id: _Optional[str] = ...) -> None: ...

class Identity(_message.Message):
    __slots__ = ("claim", "digest")
    CLAIM_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    claim: str
    digest: str
    def __init__(self, claim: _Optional[str] = ..., digest: _Optional[str] = ...) -> None: ...
