"""What the connector decides, free of I/O: stage mapping, observation, write intents, the retry of writes."""
