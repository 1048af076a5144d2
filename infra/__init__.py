"""The real Kafka and the real PostgreSQL on a machine without Docker: from packages, each kept in a folder."""
