"""``python -m anatpaste_aug COMMAND``."""

from anatpaste_aug.cli import main

if __name__ == "__main__":
    raise SystemExit(main(prog="python -m anatpaste_aug"))
