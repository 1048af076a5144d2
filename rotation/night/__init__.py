"""The night: from the world's snapshot to moves, vans and orders."""
