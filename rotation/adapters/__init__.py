"""From library systems to facts: each adapter turns what a system tells into CloudEvents, and drops whatever names a reader."""
