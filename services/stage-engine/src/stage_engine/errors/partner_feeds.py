"""Refusals about feeds of partners."""

from kit.http.problems import ConflictProblem, FieldError, InvalidProblem, NotFoundProblem


class PartnerFeedNotFound(NotFoundProblem):
    code = "partner_feed_not_found"

    def __init__(self, partner_key: str) -> None:
        super().__init__(f"There is no feed for the partner {partner_key!r}.")


class PartnerFeedExists(ConflictProblem):
    code = "partner_feed_exists"

    def __init__(self, partner_key: str) -> None:
        super().__init__(f"The partner {partner_key!r} has a feed already.")


class PartnerTopicMissing(InvalidProblem):
    code = "partner_topic_missing"

    def __init__(self, topic: str) -> None:
        detail = (
            f"The broker has no topic {topic!r}. Add it to `partners` in deploy/kafka/topics.yaml, "
            "create it with the rights of its user and of this service, and try again."
        )
        super().__init__(detail, errors=[FieldError("/partner_key", self.code, detail)])
