"""Every place in the source that raises one of cofactor's errors, with the text it raises."""

import ast
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

__all__ = ["Site", "sites_in"]


@dataclass(frozen=True)
class Site:
    """One ``raise``: the error's class, its text with names in place of values, and where it stands."""

    error: str
    text: str
    module: str
    function: str
    line: int


def sites_in(source: Path, errors: Collection[str]) -> Iterator[Site]:
    """Yield every raise site of the named errors below ``source``, in the order of the files."""
    for path in sorted(source.rglob("*.py")):
        module = ".".join(path.relative_to(source.parent).with_suffix("").parts).removesuffix(".__init__")
        yield from _sites(ast.parse(path.read_text(encoding="utf-8")), module, errors)


def _sites(tree: ast.Module, module: str, errors: Collection[str]) -> Iterator[Site]:
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for home, call in _calls_with_homes(tree, ""):
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        if name in errors:
            around = functions.get(home.rsplit(".", 1)[-1])
            for text in _texts(call, functions, {} if around is None else _assigned(around)):
                yield Site(name, text, module, home, call.lineno)


def _assigned(function: ast.FunctionDef) -> dict[str, ast.expr]:
    """Return the texts that a function gives names to."""
    found: dict[str, ast.expr] = {}
    for node in ast.walk(function):
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if isinstance(target, ast.Name) and _is_text(node.value):
            found[target.id] = node.value
    return found


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _texts(call: ast.Call, functions: Mapping[str, ast.FunctionDef], known: Mapping[str, ast.expr]) -> Iterator[str]:
    """Yield the texts that a call may be given: of its first argument that is one, each branch by itself."""
    given = [part for part in call.args if not (isinstance(part, ast.Constant) and isinstance(part.value, int))]
    if not given:
        return
    helper = functions.get(_called(given[0]))
    if helper is None:
        yield from _branches(given[0], known)
        return
    for node in ast.walk(helper):
        if isinstance(node, ast.Return) and node.value is not None:
            yield from _branches(node.value, _assigned(helper))


def _called(node: ast.expr) -> str:
    """Return the name of the function that an expression calls, of a method the last part."""
    function = node.func if isinstance(node, ast.Call) else None
    if isinstance(function, ast.Attribute):
        return function.attr if isinstance(function.value, ast.Name) and function.value.id == "self" else ""
    return function.id if isinstance(function, ast.Name) else ""


def _branches(node: ast.expr, known: Mapping[str, ast.expr]) -> Iterator[str]:
    """Yield the text of an expression; of ``a if b else c``, also at the end of a text, both."""
    node = known.get(node.id, node) if isinstance(node, ast.Name) else node
    last = node.values[-1] if isinstance(node, ast.JoinedStr) and node.values else None
    if isinstance(node, ast.IfExp):
        yield from _branches(node.body, known)
        yield from _branches(node.orelse, known)
    elif isinstance(last, ast.FormattedValue) and isinstance(last.value, ast.IfExp):
        before = "".join(written(part, known) for part in node.values[:-1])  # type: ignore[attr-defined]
        yield from (before + end for end in _branches(last.value, known))
    else:
        yield written(node, known)


def _calls_with_homes(node: ast.AST, home: str) -> Iterator[tuple[str, ast.Call]]:
    """Yield every call below a node together with the dotted name of the function it stands in."""
    for child in ast.iter_child_nodes(node):
        named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        inner = f"{home}.{child.name}".lstrip(".") if named else home
        if isinstance(child, ast.Call):
            yield home, child
        yield from _calls_with_homes(child, inner)


def written(node: ast.expr, known: Mapping[str, ast.expr] = MappingProxyType({})) -> str:
    """Write a text expression as people read it, each value as ‹its name›; ``known`` are texts with a name.

    Examples
    --------
    >>> written(ast.parse("f'n is {n!r}: give ' + other", mode="eval").body)
    'n is ‹n›: give ‹other›'
    """
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(written(part, known) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return written(node.left, known) + written(node.right, known)
    value = node.value if isinstance(node, ast.FormattedValue) else node
    value = known.get(value.id, value) if isinstance(value, ast.Name) else value
    if isinstance(value, ast.Constant | ast.JoinedStr):
        return written(value, known)
    if isinstance(value, ast.IfExp) and all(isinstance(part, ast.Constant) for part in (value.body, value.orelse)):
        return _either(str(value.body.value), str(value.orelse.value))  # type: ignore[attr-defined]
    return f"‹{_named(value)}›"


def _either(one: str, other: str) -> str:
    """Write two short texts of which a message has one: what may be there in brackets, or both."""
    longer = one or other
    before, after = (" " if end == " " else "" for end in (longer[:1], longer[-1:]))
    return f"{one}/{other}" if one and other else f"{before}({longer.strip()}){after}"


def _named(node: ast.expr) -> str:
    """Say in a word what an expression stands for: the last name of it."""
    match node:
        case ast.Name(id=name):
            return _spelt(name)
        case ast.Attribute(value=inner, attr="__name__" | "args" | "strerror"):
            return _named(inner)
        case ast.Attribute(attr=name):
            return _spelt(name)
        case ast.Call(func=ast.Name(id="len")):
            return "number"
        case ast.Call(func=ast.Name(id="map"), args=[_, inner]):
            return _named(inner)
        case ast.Call(args=[inner, *_]) | ast.Call(func=ast.Attribute(value=ast.Call() as inner)):
            return _named(inner)
        case ast.Call(func=inner) | ast.Subscript(value=inner) | ast.BoolOp(values=[inner, *_]):
            return _named(inner)
        case ast.IfExp(body=inner) | ast.FormattedValue(value=inner) | ast.BinOp(left=inner, op=ast.Div()):
            return _named(inner)
        case ast.GeneratorExp(generators=[ast.comprehension(iter=inner), *_]):
            return _named(inner)
        case ast.BinOp():
            return "number"
    return "value"


def _spelt(name: str) -> str:
    return name.strip("_").replace("_", " ").lower()
