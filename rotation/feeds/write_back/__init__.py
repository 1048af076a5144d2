"""Writing back to library systems: check-ins, holds and homes, as far as each really offers it."""
