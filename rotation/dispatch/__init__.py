"""Approved moves become orders, and scans close them, with nobody retyping.

Orders go to `transfer.orders` through the outbox, in the transaction that marks what they tell of as ordered: a day is
ordered whole or not at all, and twice does nothing.
"""

from rotation.dispatch.orders import cancel, order_day

__all__ = ["cancel", "order_day"]
