"""The command line: ``anatpaste-aug COMMAND``, or ``python -m anatpaste_aug COMMAND``.

A command is a module with ``USAGE``, ``add_arguments(parser)``, and ``run(arguments)``, which returns an exit code, see
`CommandLine.run`.
"""

import sys
from collections.abc import Sequence
from importlib import import_module

from anatpaste_aug.cli.command_line import CommandLine

__all__ = ["CommandLine", "main", "run_command"]

# The modules are imported when they run, because imports take seconds.
_COMMANDS = {
    "preview": "draw what the augmentation does to images",
    "check": "check a folder of images before training on them",
    "reproduce": "train and evaluate detectors as in the paper, from radiographs to tables and figures",
    "score": "score radiographs with a trained detector",
}


def main(argv: Sequence[str] | None = None, *, prog: str = "anatpaste-aug") -> int:
    """Run a command with its arguments.

    Args:
        argv: The command and its arguments; None is those of the process.
        prog: Name of the program in messages.

    Returns:
        The exit code, see `CommandLine.run`.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments and arguments[0] in _COMMANDS:
        return run_command(arguments[0], arguments[1:], prog=f"{prog} {arguments[0]}")
    width = max(map(len, _COMMANDS)) + 2
    commands = "\n".join(f"  {name:{width}}{text}" for name, text in _COMMANDS.items())
    about = f"AnatPaste on your own images.\n\n{commands}\n\n{prog} COMMAND --help shows the options of a command."
    parser = CommandLine(about, prog=prog, usage="%(prog)s COMMAND ...")
    parser.add_argument("command", metavar="COMMAND", choices=_COMMANDS, help=", ".join(_COMMANDS))
    return parser.run(lambda arguments: None, arguments[:1])


def run_command(name: str, argv: Sequence[str] | None = None, *, prog: str) -> int:
    """Run one command, for example from a script; ``prog`` is the name of the script in messages."""
    module = import_module(f"anatpaste_aug.cli.{name}")
    parser = CommandLine(module.__doc__ or "", prog=prog, usage=module.USAGE)
    module.add_arguments(parser)
    return parser.run(module.run, argv)
