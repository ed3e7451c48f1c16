"""``python -m anatpaste_aug COMMAND``."""

import sys

from anatpaste_aug.cli import main

if __name__ == "__main__":
    # A file's name may hold what the terminal cannot show: that should not be the end of the work.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    raise SystemExit(main())
