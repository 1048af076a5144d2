"""Transfers to dated legs, legs to crates, crates to a routing problem a hub and day, its answer to runs and stops."""
