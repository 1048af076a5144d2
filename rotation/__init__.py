"""Rotation: event-driven logistics and book rotation for a city's libraries."""
