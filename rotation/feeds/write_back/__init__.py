"""Writing back to library systems: check-ins, holds and homes, by what each really offers."""
