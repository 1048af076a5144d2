"""`python -m rotation`, the same as the command `rotation`."""

import os
import signal
import sys

# Until a command listens for it nothing has been started, so Ctrl-C just ends us: imports take a second.
signal.signal(signal.SIGINT, signal.SIG_DFL)

# Under a locale such as zh_CN.GB18030 paths would be decoded by it, and written into addresses and logs otherwise than meant.
if sys.getfilesystemencoding() != "utf-8":
    os.environ["PYTHONUTF8"] = "1"
    os.execv(sys.executable, [sys.executable, "-m", "rotation", *sys.argv[1:]])

from rotation.cli import app  # noqa: E402

if __name__ == "__main__":
    app()
