"""Events in and out: each is handled once, in order, and none is lost."""
