"""The arithmetic of scoring: pure, Decimal only, no I/O."""
