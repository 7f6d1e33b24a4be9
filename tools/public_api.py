"""What users of cofactor may hold on to, as text: public names, their signatures, and the commands with their options.

``make public-api`` writes it to tests/public_api.txt; a test compares that page with the code.
"""

import dataclasses
import importlib
import inspect
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

MODULES: dict[str, tuple[str, ...] | None] = {  # and which of their names are public, if not all
    "cofactor": None,
    "cofactor.evaluation": None,
    "cofactor.lists": ("AtMost", "Boost", "Calibrate", "Diversify", "Pin", "Promote"),
    "cofactor.solvers": None,
    "cofactor.solvers.keras_mf": None,
    "cofactor.model.folder": ("FolderModel", "open_folder"),
    "cofactor.spark.distributed_lists": None,
    "cofactor.spark.measuring": None,
    "cofactor.spark.reading": ("Layout",),
    "cofactor.spark.session": ("session",),
}
PAGE = Path(__file__).parents[1] / "tests" / "public_api.txt"


def public_api() -> str:
    """Describe every public module and the command line; the same on every supported Python."""
    told: set[int] = set()
    lines = [line for name in MODULES for line in (*_module(name, told), "")]
    return "\n".join([*lines, *_command_line()]) + "\n"


def _module(name: str, told: set[int]) -> Iterator[str]:
    module = importlib.import_module(name)
    yield f"module {name}"
    for public in sorted(MODULES[name] or module.__all__):
        value = getattr(module, public)
        lines = [f"{public}: as above"] if id(value) in told else _described(public, value)
        told.add(id(value))
        yield from (f"    {line}" for line in lines)


def _described(name: str, value: Any) -> Iterator[str]:
    if inspect.isclass(value):
        yield f"class {name}({', '.join(base.__name__ for base in value.__bases__ if base is not object)})"
        yield from (f"    {line}" for line in _members(value))
    elif inspect.isfunction(value):
        yield f"{name}{_signature(value)}"
    elif isinstance(value, dict):
        yield f"{name}: {', '.join(map(str, value))}"
    else:
        yield f"{name}: {type(value).__name__}"


def _members(owner: type) -> Iterator[str]:
    """Yield fields in their order, then methods and properties by name; those of cofactor's own bases too."""
    fields = [field for field in _fields(owner) if not field.name.startswith("_")]
    yield from (f"{field.name}: field{_default(field)}" for field in fields)
    taken = {field.name for field in fields}
    for name in sorted(_own_names(owner) - taken):
        yield from _member(name, inspect.getattr_static(owner, name))


def _own_names(owner: type) -> set[str]:
    ours = [base for base in owner.__mro__ if base.__module__.startswith("cofactor")]
    return {name for base in ours for name in vars(base) if not name.startswith("_")}


def _fields(owner: type) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(owner) if dataclasses.is_dataclass(owner) else ()


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return f" = {_shown(field.default)}"
    return " = …" if field.default_factory is not dataclasses.MISSING else ""


def _member(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, classmethod | staticmethod):
        yield f"{type(value).__name__} {name}{_signature(value.__func__)}"
    elif inspect.isfunction(value):
        yield f"{name}{_signature(value)}"
    else:
        yield f"{name}: {'property' if hasattr(value, '__get__') else type(value).__name__}"


def _signature(function: Any) -> str:
    """Return names, kinds and defaults of the parameters; types are mypy's to hold, and read otherwise each year."""
    signature = inspect.signature(function)
    bare = [
        parameter.replace(annotation=inspect.Parameter.empty, default=_Shown.of(parameter))
        for parameter in signature.parameters.values()
    ]
    return str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))


class _Shown:
    """A default that prints the same wherever it is made."""

    def __init__(self, value: Any) -> None:
        self.value = value

    @classmethod
    def of(cls, parameter: inspect.Parameter) -> Any:
        none = parameter.default is inspect.Parameter.empty
        return parameter.default if none else cls(parameter.default)

    def __repr__(self) -> str:
        return _shown(self.value)


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str | int | float | tuple | None) else f"<{type(value).__name__}>"


def _command_line() -> Iterator[str]:
    import typer

    from cofactor.apps.cli import build
    from cofactor.solvers import SOLVERS

    def commands(*arguments: str) -> dict[str, Any]:
        group: Any = typer.main.get_command(build(list(arguments)))
        return dict(group.commands)

    yield "command cofactor"
    plain = {name: _parameters(command) for name, command in commands().items()}
    for name in sorted(plain):
        yield f"    {name} {' '.join(plain[name])}"
    for solver in SOLVERS:
        fitting = _parameters(commands("fit", "--solver", solver)["fit"])
        own = [parameter for parameter in fitting if parameter not in plain["fit"]]
        yield f"    fit --solver {solver} {' '.join(own)}".rstrip()


def _parameters(command: Any) -> list[str]:
    return [
        "/".join([*parameter.opts, *parameter.secondary_opts])
        if parameter.param_type_name == "option"
        else parameter.name.upper()
        for parameter in command.params
    ]


if __name__ == "__main__":
    PAGE.write_text(public_api(), encoding="utf-8")
    sys.stdout.write(f"wrote {os.path.relpath(PAGE)}\n")
