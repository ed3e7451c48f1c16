"""A command line on which every error ends in one line."""

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
"""What the package raises for files, folders, devices, packages and arguments. Anything else is a bug."""


class Incomplete(Exception):  # noqa: N818 - not an error of the arguments
    """The command is done in part; the message says what is missing, and how to continue."""


class CommandLine(argparse.ArgumentParser):
    """An ``ArgumentParser`` whose `run` turns errors into one line and an exit code.

    Args:
        about: What the command does; its first line stands in the list of commands.
        prog: How the command is called.
        usage: A short usage, which errors show; None makes one of all options.
    """

    def __init__(self, about: str, *, prog: str | None = None, usage: str | None = None) -> None:
        formatter = argparse.RawDescriptionHelpFormatter
        super().__init__(prog=prog, usage=usage, description=about, formatter_class=formatter)
        self.given: list[str] = []

    def error(self, message: str) -> NoReturn:
        """End with the usage, one line on standard error, and exit code 2."""
        self.print_usage(sys.stderr)
        self.exit(2, f"{self.prog}: error: {one_line(message)}\n")

    def run(self, work: Callable[[argparse.Namespace], int | None], argv: Sequence[str] | None = None) -> int:
        """Parse the arguments and do the work.

        Args:
            work: Takes the arguments and returns an exit code; None is 0.
            argv: The arguments; None is those of the process.

        Returns:
            The exit code: 0 if all went well; what ``work`` returned; 1 if it is done in part; 2 for an argument,
            file, folder or device that is wrong, or a package that is missing; 3 for an error of the program itself;
            130 if it was interrupted (Ctrl-C).
        """
        self.given = sys.argv[1:] if argv is None else list(argv)
        self.add_argument("--debug", action="store_true", help="on an error, show Python's traceback, too")
        if hasattr(sys.stdout, "reconfigure"):
            # A file's name may hold what the terminal cannot show: that should not be the end of the work.
            sys.stdout.reconfigure(errors="backslashreplace")
        with self._short_warnings():
            try:
                code = work(self.parse_args(self.given)) or 0
                sys.stdout.flush()
                return code
            except SystemExit as ended:  # after --help or self.error
                return ended.code if isinstance(ended.code, int) else 0
            except BrokenPipeError:  # the reader, such as head, has what it wanted
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
    """Put an option in front of what an error says about its value."""
    try:
        yield
    except (ValueError, OSError, argparse.ArgumentTypeError) as error:
        raise ValueError(f"{option}: {explain(error)}") from error
