"""`python -m rotation`, the same as the command `rotation`."""

from rotation.cli import app

app()
