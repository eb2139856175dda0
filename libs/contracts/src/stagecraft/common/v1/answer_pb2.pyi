from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Answer(_message.Message):
    __slots__ = ("question_key", "choice", "choices", "number", "text", "boolean")
    QUESTION_KEY_FIELD_NUMBER: _ClassVar[int]
    CHOICE_FIELD_NUMBER: _ClassVar[int]
    CHOICES_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    BOOLEAN_FIELD_NUMBER: _ClassVar[int]
    question_key: str
    choice: str
    choices: ChoiceList
    number: str
    text: str
    boolean: bool
    def __init__(self, question_key: _Optional[str] = ..., choice: _Optional[str] = ..., choices: _Optional[_Union[ChoiceList, _Mapping]] = ..., number: _Optional[str] = ..., text: _Optional[str] = ..., boolean: _Optional[bool] = ...) -> None: ...

class ChoiceList(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, keys: _Optional[_Iterable[str]] = ...) -> None: ...
