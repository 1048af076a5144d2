"""The real Kafka and the real PostgreSQL on a machine without Docker: from packages, kept in one folder each."""
