"""Library systems and files: their records, translated into events."""
