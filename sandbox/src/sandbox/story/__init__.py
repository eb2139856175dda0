"""The field example played by a simulated sales team: its data, its seeded behaviour, and the demo."""
