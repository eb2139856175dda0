"""What assessments mean, free of I/O."""
