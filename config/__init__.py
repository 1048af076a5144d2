"""What can be set: one Settings object from default.toml, a file of one's own, and the environment, each value with its origin."""

from config.settings import Settings, load

__all__ = ["Settings", "load"]
