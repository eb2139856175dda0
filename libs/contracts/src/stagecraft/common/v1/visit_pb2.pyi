from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Visit(_message.Message):
    __slots__ = ("stage_key", "visit_no")
    STAGE_KEY_FIELD_NUMBER: _ClassVar[int]
    VISIT_NO_FIELD_NUMBER: _ClassVar[int]
    stage_key: str
    visit_no: int
    def __init__(self, stage_key: _Optional[str] = ..., visit_no: _Optional[int] = ...) -> None: ...
