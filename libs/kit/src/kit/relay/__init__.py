"""From the outbox to Kafka: what is committed is sent, in order, whatever the broker says."""
