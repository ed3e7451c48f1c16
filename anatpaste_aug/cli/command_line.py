"""An argument parser that reports every error in one line."""

import argparse
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from anatpaste_aug.cli.wording import explain, in_options, is_memory, one_line

__all__ = ["CommandLine", "Incomplete", "blame"]

USER_ERRORS = (ValueError, OSError, ImportError, FloatingPointError, argparse.ArgumentTypeError)
"""The errors that the package raises for files, folders, devices, packages and arguments; any other is a bug."""


class Incomplete(Exception):  # noqa: N818 - not an error of the arguments
    """The command is incomplete; the message says what is missing and how to continue."""


class CommandLine(argparse.ArgumentParser):
    """An ``ArgumentParser`` whose `run` turns errors into one line and an exit code.

    Args:
        about: Description of the command.
        prog: Name of the command in messages.
        usage: A short usage for error messages; None lists all options.
    """

    def __init__(self, about: str, *, prog: str | None = None, usage: str | None = None) -> None:
        formatter = argparse.RawDescriptionHelpFormatter
        super().__init__(prog=prog, usage=usage, description=about, formatter_class=formatter)
        self.given: list[str] = []

    def error(self, message: str) -> NoReturn:
        """Exit with the usage, one line on standard error, and exit code 2."""
        self.print_usage(sys.stderr)
        self.exit(2, f"{self.prog}: error: {one_line(message)}\n")

    def run(self, work: Callable[[argparse.Namespace], int | None], argv: Sequence[str] | None = None) -> int:
        """Parse the arguments and run the command.

        Args:
            work: Takes the arguments and returns an exit code; None is 0.
            argv: The arguments; None is those of the process.

        Returns:
            The exit code: 0 for success; the result of ``work``; 1 if the command is incomplete; 2 for an invalid
                argument, file, folder or device, or a missing package; 3 for a bug; 130 after an interruption (Ctrl-C).
        """
        self.given = sys.argv[1:] if argv is None else list(argv)
        self.add_argument("--debug", action="store_true", help="show the traceback of errors")
        if hasattr(sys.stdout, "reconfigure"):
            # File names may have characters that the terminal cannot show.
            sys.stdout.reconfigure(errors="backslashreplace")
        with self._short_warnings():
            try:
                code = work(self.parse_args(self.given)) or 0
                sys.stdout.flush()
                return code
            except SystemExit as ended:  # after --help or self.error
                return ended.code if isinstance(ended.code, int) else 0
            except BrokenPipeError:  # the reader, such as head, has closed the pipe
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                return 141
            except (Exception, KeyboardInterrupt) as error:
                if "--debug" in self.given:
                    traceback.print_exc()
                return self._report(error)

    def _report(self, error: BaseException) -> int:
        if isinstance(error, KeyboardInterrupt):
            return self._print_line(": ".join(filter(None, ["interrupted", str(error)])), 130)
        if isinstance(error, Incomplete):
            return self._print_line(str(error), 1)
        if isinstance(error, USER_ERRORS) or is_memory(error):
            self.print_usage(sys.stderr)
            return self._print_line(f"error: {in_options(explain(error), self._options())}", 2)
        what = f"{type(error).__name__}: {error}".strip(": ")
        return self._print_line(f"internal error: {what}. To report it, run again with --debug", 3)

    def _print_line(self, message: str, code: int) -> int:
        print(f"{self.prog}: {one_line(message)}", file=sys.stderr)
        return code

    def _options(self) -> set[str]:
        return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", self.format_help()))

    @contextmanager
    def _short_warnings(self) -> Iterator[None]:
        before = warnings.formatwarning

        def short(message: Warning | str, *_: object, **__: object) -> str:
            return f"{self.prog}: warning: {one_line(in_options(str(message), self._options()))}\n"

        warnings.formatwarning = short
        try:
            yield
        finally:
            warnings.formatwarning = before


@contextmanager
def blame(option: str) -> Iterator[None]:
    """Prefix errors about the value of an option with its name."""
    try:
        yield
    except (ValueError, OSError, argparse.ArgumentTypeError) as error:
        raise ValueError(f"{option}: {explain(error)}") from error
