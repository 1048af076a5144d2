"""What people do with their hands: pick, pack, receive, sort, carry.

Each scan is recorded once, and its facts go the way of all events.
"""
