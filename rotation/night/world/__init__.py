"""The night's world out of the database, as arrays."""
