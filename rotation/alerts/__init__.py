"""Alerts for staff: levels against targets, copies that do not arrive, places and feeds that fall silent."""
