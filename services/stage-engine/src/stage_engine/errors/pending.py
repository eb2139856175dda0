"""Refusals about moves that wait for people."""

from uuid import UUID

from kit.http.problems import ConflictProblem, NotFoundProblem

from stage_engine.records.pending import ApprovalRecord, ProposalRecord


class ApprovalNotFound(NotFoundProblem):
    code = "approval_not_found"

    def __init__(self, approval_id: UUID) -> None:
        super().__init__(f"There is no approval {approval_id}.")


class ApprovalEnded(ConflictProblem):
    code = "approval_ended"

    def __init__(self, approval: ApprovalRecord) -> None:
        super().__init__(f"The move does not wait for approval any more: it is {approval.state.replace('_', ' ')}.")


class ProposalNotFound(NotFoundProblem):
    code = "proposal_not_found"

    def __init__(self, proposal_id: UUID) -> None:
        super().__init__(f"There is no proposal {proposal_id}.")


class ProposalEnded(ConflictProblem):
    code = "proposal_ended"

    def __init__(self, proposal: ProposalRecord) -> None:
        super().__init__(f"The proposal is not open any more: it is {proposal.state.replace('_', ' ')}.")
