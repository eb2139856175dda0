"""What figures are counted from, kept as decisions are made: visits, standings and evaluations."""
