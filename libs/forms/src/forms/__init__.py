"""What an assessment form means: definition, answers, visibility and checks. Pure."""
