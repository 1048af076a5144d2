"""Courier routing that explains itself: problem in, plan out, and an independent judge of any plan.

It stands alone: it knows nothing of libraries, Kafka, a database or a page.
"""

VERSION = "0.1.0"  # as pyproject.toml has it here and above: a test compares them
