"""What a stage means and when it changes: pure, without a framework, a clock or a database."""
