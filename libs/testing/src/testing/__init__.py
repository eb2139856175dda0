"""What tests of services use: real PostgreSQL, real Kafka, a running service."""
