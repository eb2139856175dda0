"""Query parameters that an operation does not know, or that were given twice, are refused: a filter that is ignored
answers another question than the one that was asked."""

from fastapi import Request
from fastapi.dependencies.models import Dependant

from kit.http.problems import FieldError, InvalidProblem, pointer


def parameters_of(dependant: Dependant) -> frozenset[str]:
    """The names of all query parameters of an operation and of what it depends on."""
    own = {field.alias for field in dependant.query_params}
    return frozenset(own.union(*(parameters_of(each) for each in dependant.dependencies)))


def check_query(request: Request, known: frozenset[str]) -> None:
    """InvalidProblem `unknown_parameter` or `repeated_parameter`, with the names that are allowed."""
    given = [name for name, _ in request.query_params.multi_items()]
    allowed = f"Allowed are: {', '.join(sorted(known))}." if known else "This operation takes none."
    errors = [
        FieldError(pointer("query", name), "unknown_parameter", f"There is no query parameter of this name. {allowed}")
        for name in dict.fromkeys(given)
        if name not in known
    ]
    errors += [
        FieldError(pointer("query", name), "repeated_parameter", "This parameter is given more than once.")
        for name in sorted(known)
        if given.count(name) > 1
    ]
    if errors:
        detail = "; ".join(f"{e.pointer}: {e.detail}" for e in errors[:3])
        raise InvalidProblem(detail, code=errors[0].code, errors=errors)
