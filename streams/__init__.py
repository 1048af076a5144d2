"""The Kafka side: what comes in is applied, places that change are watched, what must be told is relayed."""
