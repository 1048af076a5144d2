"""Approved moves become orders, and scans close them, with nobody retyping.

Orders go to `transfer.orders` through the outbox, in the transaction that marks their subjects as ordered: a day is
ordered whole or not at all, and twice does nothing.
"""

from rotation.dispatch.orders import cancel, order_day, order_hubs

__all__ = ["cancel", "order_day", "order_hubs"]
