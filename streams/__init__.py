"""The Kafka side: events are applied, places that change are watched, and the outbox is relayed."""
