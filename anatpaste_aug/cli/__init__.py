"""The command line: one module per command, with ``add_arguments(parser)`` and ``run(arguments) -> exit code``."""

import argparse
import sys
from collections.abc import Sequence

from anatpaste_aug.cli import check, preview, score
from anatpaste_aug.files import shown

__all__ = ["main"]

_COMMANDS = {"preview": preview, "check": check, "score": score}


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``python -m anatpaste_aug`` with these arguments; None takes those of the process.

    Returns:
        0 if all went well, 1 if the command is done but found files that it could not read, 2 if it could not be done:
        a wrong setting, a file that is not there, a package that is missing (said on standard error).
    """
    parser = argparse.ArgumentParser(prog="python -m anatpaste_aug", description="AnatPaste on your own images")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in _COMMANDS.items():
        text = module.__doc__ or ""
        command = commands.add_parser(
            name,
            help=text.splitlines()[0],
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    arguments = parser.parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except (ValueError, TypeError, ImportError, OSError) as error:
        lines = "\n".join(map(shown, str(error).split("\n")))
        print(f"{parser.prog} {arguments.command}: error: {lines}", file=sys.stderr)
        return 2
    return code
