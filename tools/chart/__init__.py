"""`python -m tools.chart`: keeps the Helm charts in step with the code, and proves what they render."""
