"""Who was chosen for a subject, as it is kept with it."""

from datetime import datetime

from stage_engine.domain.value import value

# The role of who owns the subject in the CRM.
OWNER_ROLE = "owner"
# A person gives no further role once a subject has so many: each is kept with it, and in each of its decisions.
MOST_ROLES = 50


@value
class Assigned:
    """A person in a role of a subject's team: by which rule, out of which pool, and why in words. An empty `person_id`
    says that no one could take it. What a person chose stays: rules choose no other."""

    role: str
    person_id: str
    rule_id: str
    pool: str
    reason: str
    at: datetime
    by_person: bool = False
