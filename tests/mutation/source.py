"""Small changes to a module's text: the mutants that its tests should notice."""

import ast
from collections.abc import Iterator
from pathlib import Path

COMPARISONS = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
    ast.Is: "is not", ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip
SPELLED = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
    ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
}  # fmt: skip
OPERATORS = {
    ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.FloorDiv: "*", ast.Mod: "*", ast.Pow: "*",
    ast.LShift: ">>", ast.RShift: "<<", ast.BitAnd: "|", ast.BitOr: "&", ast.BitXor: "|",
}  # fmt: skip
TWINS = [
    ("min", "max"), ("minimum", "maximum"), ("amin", "amax"), ("argmin", "argmax"), ("any", "all"), ("floor", "ceil"),
    ("clamp_min", "clamp_max"), ("clamp_min_", "clamp_max_"), ("zeros", "ones"), ("cos", "sin"),
]  # fmt: skip
TWIN = {one: other for pair in TWINS for one, other in (pair, pair[::-1])}
SYMMETRIC = {"min", "max", "minimum", "maximum", "bitwise_or", "equal", "promote_types", "transpose", "addcmul_"}
MODULES = {"torch", "np", "math", "kernels", "cpu", "nn", "functional"}
UNCHANGED = {"annotation", "returns", "decorator_list", "defaults", "kw_defaults", "exc", "cause"}


class Source:
    """A module's text, and the places where it can be changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = path.read_bytes().splitlines(keepends=True)
        self.tree = ast.parse(b"".join(self.lines))
        # An axis or an index that is off by one the one way tells as much as the other way.
        calls = [node for node in ast.walk(self.tree) if isinstance(node, ast.Call | ast.Subscript)]
        self.positions = {child for call in calls for child in ast.iter_child_nodes(call)}
        functions = [node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef)]
        self.in_functions = {child for function in functions for child in ast.walk(function)}

    def at(self, line: int, column: int) -> int:
        return sum(map(len, self.lines[: line - 1])) + column

    def span(self, node: ast.AST) -> slice:
        return slice(self.at(node.lineno, node.col_offset), self.at(node.end_lineno, node.end_col_offset))

    def text(self, node: ast.AST) -> str:
        return b"".join(self.lines)[self.span(node)].decode()

    def changed(self, node: ast.AST, text: str) -> bytes:
        whole, span = b"".join(self.lines), self.span(node)
        return whole[: span.start] + text.encode() + whole[span.stop :]

    def mutants(self) -> Iterator[tuple[ast.AST, str]]:
        """Every node with a text to put in its place."""
        todo = [self.tree]
        while todo:
            node = todo.pop()
            for text in self.expressions(node) if isinstance(node, ast.expr) else self.statements(node):
                yield node, text
            for name, value in ast.iter_fields(node):
                if name not in UNCHANGED and not (isinstance(node, ast.AnnAssign) and node not in self.in_functions):
                    children = value if isinstance(value, list) else [value]
                    todo += [c for c in children if isinstance(c, ast.AST) and not isinstance(c, ast.JoinedStr)]
            if isinstance(node, ast.If | ast.IfExp) and not isinstance(node.test, ast.Compare):
                yield node.test, f"(not ({self.text(node.test)}))"

    def statements(self, node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.AugAssign | ast.Raise) or (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        ):
            yield "pass"
        elif isinstance(node, ast.Assign):
            read = {name.id for name in ast.walk(node.value) if isinstance(name, ast.Name)}
            if any(isinstance(t, ast.Subscript) or (isinstance(t, ast.Name) and t.id in read) for t in node.targets):
                yield "pass"
        elif isinstance(node, ast.Break | ast.Continue):
            yield "pass"

    def expressions(self, node: ast.expr) -> Iterator[str]:
        match node:
            case ast.Compare():
                parts = [f"({self.text(part)})" for part in (node.left, *node.comparators)]
                for i in range(len(node.ops)):
                    table = [COMPARISONS if i == j else SPELLED for j in range(len(node.ops))]
                    ops = [table[j][type(op)] for j, op in enumerate(node.ops)]
                    yield "(" + parts[0] + "".join(f" {o} {p}" for o, p in zip(ops, parts[1:], strict=True)) + ")"
            case ast.BinOp() if type(node.op) in OPERATORS:
                yield f"(({self.text(node.left)}) {OPERATORS[type(node.op)]} ({self.text(node.right)}))"
            case ast.BoolOp():
                word = " or " if isinstance(node.op, ast.And) else " and "
                yield "(" + word.join(f"({self.text(value)})" for value in node.values) + ")"
            case ast.UnaryOp():
                yield f"({self.text(node.operand)})"
            case ast.Constant(value=bool()):
                yield str(not node.value)
            case ast.Constant(value=int()):
                yield f"({node.value + 1})"
                if node not in self.positions:
                    yield f"({node.value - 1})"
            case ast.Constant(value=float()):
                yield f"({node.value * 1.1 or 1.0})"
            case ast.Call():
                yield from self.calls(node)

    def calls(self, node: ast.Call) -> Iterator[str]:
        function, arguments = self.text(node.func), [self.text(a) for a in (*node.args, *node.keywords)]
        if isinstance(node.func, ast.Attribute) and self.text(node.func.value).split(".")[0] not in MODULES:
            yield f"({self.text(node.func.value)})"
        head, dot, name = function.rpartition(".")
        if name in TWIN:
            yield f"{head}{dot}{TWIN[name]}({', '.join(arguments)})"
        if (
            len(node.args) > 1
            and name not in SYMMETRIC
            and arguments[0] != arguments[1]
            and "*" not in (arguments[0][0], arguments[1][0])
        ):
            yield f"{function}({', '.join([arguments[1], arguments[0], *arguments[2:]])})"
        for i, keyword in enumerate(node.keywords, len(node.args)):
            if keyword.arg not in ("device", None):  # on the CPU a dropped device changes nothing
                yield f"{function}({', '.join(arguments[:i] + arguments[i + 1 :])})"
