"""The work of people's hands: pick, pack, receive, sort, carry.

Each scan is recorded once, and its facts go the way of all events.
"""
