"""What every attack needs to know of the services it attacks."""
