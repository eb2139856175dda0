"""Events set aside: dead letters, and those that wait for another event."""
