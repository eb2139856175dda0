"""How this service refuses: one module for each concern. What is not there is a `NotFoundProblem`, what is in the way a
`ConflictProblem`, what was asked wrongly an `InvalidProblem`."""
