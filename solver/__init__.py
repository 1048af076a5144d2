"""Courier routing that can say why: problem in, plan out, and an independent judge of any plan.

It stands alone: nothing here knows of libraries, Kafka, a database or a page.
"""
