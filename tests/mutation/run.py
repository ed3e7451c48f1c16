"""Mutation testing: change a module in one place at a time, and see whether its tests notice.

    python tests/mutation/run.py anatpaste_aug/functional/otsu.py tests/functional/test_otsu.py --results otsu.jsonl

Comparisons, operators, constants, conditions, calls and statements are changed, in kernels and module constants too.
The tests are collected once; each mutant runs in a fork, in memory, so that no file is touched, with the tests that
reach its lines, the fastest first. The mutants that they pass with are printed, and MUTATION.md tells what became of
them. Kernels are mutated as plain Python, while those of other modules stay compiled.
"""

import argparse
import ast
import gc
import json
import os
import resource
import signal
import sys
import time
import types
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import hypothesis
import pytest
from source import Source


class Mutations:
    """A plugin of pytest that runs the collected tests with each mutant, in a fork."""

    def __init__(self, source: Source, results: Path, minutes: float, longest: float, every: int) -> None:
        self.source, self.results, self.end = source, results, time.monotonic() + 60 * minutes
        self.longest, self.every = longest, every
        self.filename = str(source.path.resolve())
        self.failed = False

    def pytest_runtest_logreport(self, report):
        self.failed |= report.failed

    def passes(self, items) -> bool:
        """Whether all pass; what they share is kept for the next time."""
        self.failed = False
        between = types.SimpleNamespace(listchain=lambda: [items[0].session])
        for item, following in zip(items, [*items[1:], between], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.failed:
                return False
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        covered, seconds, waited = [], {}, {}
        for item in session.items:
            begin, start = time.process_time(), time.monotonic()
            if not self.passes([item]):
                print(f"{item.nodeid} fails without any change", flush=True)
                os._exit(3)
            seconds[item], waited[item] = time.process_time() - begin, time.monotonic() - start
            lines: set[int] = set()
            sys.settrace(self.tracer(lines))  # not in the first run, in which kernels may be compiled
            self.passes([item])
            sys.settrace(None)
            covered.append((item, lines))
        covered = [pair for pair in covered if seconds[pair[0]] <= self.longest]
        covered.sort(key=lambda pair: seconds[pair[0]])
        self.swap = Swap(self.filename)
        gc.freeze()
        if not covered:
            print("no test is left", flush=True)
            os._exit(3)

        def survives(text, items):
            cpu, wall = (sum(spent[item] for item in items) for spent in (seconds, waited))
            return self.survives(text, items, 10 + 5 * cpu, 40 + 20 * wall)

        if not survives(self.source.path.read_bytes(), [item for item, _ in covered]):
            print("without any change a test fails, or takes too long, in a fork, which has one thread", flush=True)
            os._exit(3)
        done = self.results.read_text().splitlines() if self.results.exists() else []
        done = {tuple(json.loads(line)["key"]) for line in done}
        mutants = sorted(self.source.mutants(), key=lambda found: (found[0].lineno, found[0].col_offset))
        for node, text in mutants[:: self.every]:
            key = (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset, text)
            if key in done:
                continue
            if time.monotonic() > self.end:
                print("unfinished", flush=True)
                os._exit(2)
            lines = set(range(node.lineno, node.end_lineno + 1))
            items = [item for item, some in covered if lines & some or node not in self.source.in_functions]
            try:
                survived = not items or survives(self.source.changed(node, text), items)
            except SwapError:  # says nothing about the tests, so it does not count
                print(f"{self.source.path}:{node.lineno}: {text} cannot be put in place", flush=True)
                continue
            with self.results.open("a") as file:
                file.write(json.dumps({"key": key, "survived": survived}) + "\n")
            if survived:
                before = " ".join(self.source.text(node).split())
                print(f"{self.source.path}:{node.lineno}: {before} → {text}", "" if items else "(not run)", flush=True)
        results = [json.loads(line)["survived"] for line in self.results.read_text().splitlines()]
        print(f"{self.source.path}: {len(results)} mutants, {sum(results)} survived")
        sys.stdout.flush()
        os._exit(0)

    def tracer(self, lines):
        """Notes the module's lines that run."""

        def note(frame, event, argument):
            lines.add(frame.f_lineno)
            return note

        return lambda frame, event, argument: note if frame.f_code.co_filename == self.filename else None

    def survives(self, text: bytes, items, cpu_seconds: float, wall_seconds: float) -> bool:
        child = os.fork()
        if child == 0:
            resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_seconds), int(cpu_seconds) + 1))
            signal.alarm(int(wall_seconds))  # for one that waits for ever
            resource.setrlimit(resource.RLIMIT_AS, (2**34, 2**34))
            devnull = os.open(os.devnull, os.O_WRONLY)
            os.dup2(devnull, 1)
            os.dup2(devnull, 2)
            code = 1
            try:
                self.swap(text)
                code = 0 if self.passes(items) else 1
            except SwapError:
                code = 2
            finally:
                os._exit(code)
        status = os.waitpid(child, 0)[1]
        if status and os.waitstatus_to_exitcode(status) == 2:
            raise SwapError
        return status == 0


def interpret_kernels(path: Path) -> None:
    """Leave the module's kernels, and kernels that call them, as they are written."""
    from anatpaste_aug.functional._numba import jit

    compiled, left = jit.compiled, []

    def compiled_or_left(kernel):
        called = [kernel.__globals__.get(name) for name in kernel.__code__.co_names]
        if Path(kernel.__code__.co_filename).samefile(path) or any(f is g for f in called for g in left):
            left.append(kernel)
            return kernel
        return compiled(kernel)

    jit.compiled = compiled_or_left


def functions_of(code: types.CodeType) -> Iterator[types.CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield constant
            yield from functions_of(constant)


def named(codes: Iterable[types.CodeType]) -> dict[tuple[str, int], types.CodeType]:
    """By qualified name, and number among those of the same name."""
    counts, found = Counter(), {}
    for code in sorted(set(codes), key=lambda code: code.co_firstlineno):
        found[code.co_qualname, counts[code.co_qualname]] = code
        counts[code.co_qualname] += 1
    return found


class SwapError(Exception):
    """The mutant cannot be put in place, which says nothing about the tests."""


class Swap:
    """Puts the code of a changed text into the functions of a loaded module, whoever has imported them."""

    def __init__(self, filename: str) -> None:
        self.filename = filename
        codes = named(functions_of(compile(Path(filename).read_bytes(), filename, "exec")))
        names = {code: name for name, code in codes.items()}
        functions = [thing for thing in gc.get_objects() if type(thing) is types.FunctionType]
        self.functions = [(f, names[f.__code__]) for f in functions if f.__code__ in names]
        self.modules = [module for name, module in sys.modules.items() if name.startswith("anatpaste_aug")]
        self.namespace = next(vars(module) for module in self.modules if module.__file__ == filename)

    def __call__(self, text: bytes) -> None:
        changed = named(functions_of(compile(text, self.filename, "exec")))
        for function, name in self.functions:
            try:
                function.__code__ = changed[name]
            except (KeyError, ValueError) as error:  # other functions, or other variables of the one around it
                raise SwapError from error
        for statement in ast.parse(text).body:  # constants
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                name, values = statement.targets[0].id, dict(self.namespace)
                exec(compile(ast.Module([statement], []), self.filename, "exec"), values)
                before = self.namespace[name]
                for module in self.modules:
                    if vars(module).get(name) is before and values[name] != before:
                        setattr(module, name, values[name])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("module", type=Path)
    parser.add_argument("tests", nargs="+", help="arguments of pytest")
    parser.add_argument("--results", type=Path, required=True, help="JSON lines; a mutant in them is not run again")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so long")
    parser.add_argument("--every", type=int, default=1, help="run only every n-th mutant")
    parser.add_argument("--longest", type=float, default=1e9, help="leave out tests that take more CPU seconds")
    options, more = parser.parse_known_args()
    # Without a search for the smallest example, which takes longer than all the tests.
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile(
        "mutants",
        phases=phases,
        database=None,
        derandomize=True,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    hypothesis.settings.load_profile("mutants")
    interpret_kernels(options.module)
    plugin = Mutations(Source(options.module), options.results, options.minutes, options.longest, options.every)
    pytest.main(
        ["-q", "-s", "--assert=plain", "--tb=native", "-p", "no:cacheprovider", *options.tests, *more], plugins=[plugin]
    )


if __name__ == "__main__":
    main()
