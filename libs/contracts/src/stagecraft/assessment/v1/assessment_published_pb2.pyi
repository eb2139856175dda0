import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from stagecraft.common.v1 import event_pb2 as _event_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AssessmentStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ASSESSMENT_STATUS_UNSPECIFIED: _ClassVar[AssessmentStatus]
    ASSESSMENT_STATUS_PUBLISHED: _ClassVar[AssessmentStatus]
    ASSESSMENT_STATUS_RETIRED: _ClassVar[AssessmentStatus]

class QuestionType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    QUESTION_TYPE_UNSPECIFIED: _ClassVar[QuestionType]
    QUESTION_TYPE_SINGLE_CHOICE: _ClassVar[QuestionType]
    QUESTION_TYPE_MULTIPLE_CHOICE: _ClassVar[QuestionType]
    QUESTION_TYPE_NUMBER: _ClassVar[QuestionType]
    QUESTION_TYPE_TEXT: _ClassVar[QuestionType]
    QUESTION_TYPE_BOOLEAN: _ClassVar[QuestionType]
ASSESSMENT_STATUS_UNSPECIFIED: AssessmentStatus
ASSESSMENT_STATUS_PUBLISHED: AssessmentStatus
ASSESSMENT_STATUS_RETIRED: AssessmentStatus
QUESTION_TYPE_UNSPECIFIED: QuestionType
QUESTION_TYPE_SINGLE_CHOICE: QuestionType
QUESTION_TYPE_MULTIPLE_CHOICE: QuestionType
QUESTION_TYPE_NUMBER: QuestionType
QUESTION_TYPE_TEXT: QuestionType
QUESTION_TYPE_BOOLEAN: QuestionType

class AssessmentPublished(_message.Message):
    __slots__ = ("assessment_key", "version", "title", "description", "questions", "status", "published_at", "definition_hash", "template_key")
    ASSESSMENT_KEY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    QUESTIONS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_AT_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_HASH_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_KEY_FIELD_NUMBER: _ClassVar[int]
    assessment_key: str
    version: int
    title: str
    description: str
    questions: _containers.RepeatedCompositeFieldContainer[Question]
    status: AssessmentStatus
    published_at: _timestamp_pb2.Timestamp
    definition_hash: str
    template_key: str
    def __init__(self, assessment_key: _Optional[str] = ..., version: _Optional[int] = ..., title: _Optional[str] = ..., description: _Optional[str] = ..., questions: _Optional[_Iterable[_Union[Question, _Mapping]]] = ..., status: _Optional[_Union[AssessmentStatus, str]] = ..., published_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., definition_hash: _Optional[str] = ..., template_key: _Optional[str] = ...) -> None: ...

class Question(_message.Message):
    __slots__ = ("key", "text", "type", "required", "help_text", "section", "choices", "visible_if", "minimum", "maximum", "max_choices", "max_length")
    KEY_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    HELP_TEXT_FIELD_NUMBER: _ClassVar[int]
    SECTION_FIELD_NUMBER: _ClassVar[int]
    CHOICES_FIELD_NUMBER: _ClassVar[int]
    VISIBLE_IF_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_FIELD_NUMBER: _ClassVar[int]
    MAXIMUM_FIELD_NUMBER: _ClassVar[int]
    MAX_CHOICES_FIELD_NUMBER: _ClassVar[int]
    MAX_LENGTH_FIELD_NUMBER: _ClassVar[int]
    key: str
    text: str
    type: QuestionType
    required: bool
    help_text: str
    section: str
    choices: _containers.RepeatedCompositeFieldContainer[Choice]
    visible_if: str
    minimum: str
    maximum: str
    max_choices: int
    max_length: int
    def __init__(self, key: _Optional[str] = ..., text: _Optional[str] = ..., type: _Optional[_Union[QuestionType, str]] = ..., required: _Optional[bool] = ..., help_text: _Optional[str] = ..., section: _Optional[str] = ..., choices: _Optional[_Iterable[_Union[Choice, _Mapping]]] = ..., visible_if: _Optional[str] = ..., minimum: _Optional[str] = ..., maximum: _Optional[str] = ..., max_choices: _Optional[int] = ..., max_length: _Optional[int] = ...) -> None: ...

class Choice(_message.Message):
    __slots__ = ("key", "text", "exclusive")
    KEY_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    key: str
    text: str
    exclusive: bool
    def __init__(self, key: _Optional[str] = ..., text: _Optional[str] = ..., exclusive: _Optional[bool] = ...) -> None: ...
