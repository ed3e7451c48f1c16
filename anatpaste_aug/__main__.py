"""``python -m anatpaste_aug COMMAND``."""

from anatpaste_aug.commands import main

if __name__ == "__main__":
    raise SystemExit(main())
