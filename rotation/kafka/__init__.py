"""Kafka as both sides use it: topics, clients, administration, rights, messages."""
