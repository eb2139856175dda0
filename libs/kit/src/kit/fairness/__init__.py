"""Each tenant gets its part of a service: of its time, and of its connections."""
