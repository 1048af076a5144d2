"""The settings: a Settings object, each value with its origin."""

from config.settings import Settings, load

__all__ = ["Settings", "load"]
