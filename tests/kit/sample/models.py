from uuid import UUID

from kit.database.tables import table_base
from sqlmodel import Field

Base = table_base()


class Note(Base, table=True):
    tenant_id: str = Field(primary_key=True)
    note_id: UUID = Field(primary_key=True)
    text: str
    seen: int = 1
