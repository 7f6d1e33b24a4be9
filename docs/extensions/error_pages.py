"""Every error message with its remedy: the texts from the places that raise them, what a text leaves out from a file.

A message says what is wrong, then after a colon or a semicolon what to do. Where the second part is missing,
docs/remedies.toml must have it, under the message; the build ends if it has not, or if it has one of no message.
"""

import inspect
import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

from raise_sites import Site, sites_in
from sphinx.errors import ConfigError

import cofactor
from cofactor import errors

__all__ = ["pages", "parted"]

SOURCE = Path(cofactor.__file__).parent
REMEDIES = Path(__file__).parents[1] / "remedies.toml"
SERVICE = ("Problem", "Refused")
_DO = (
    "ask|cast|check|choose|convert|copy|evaluate|fetch|fit|fold_in|fold|give|hold|keep|leave|list|look|make|measure|mend|name|open|pip|"
    "rank|read|remove|rename|round|set|split|start|the same command|train|try|unpack|unzip|wait|write|"
    "it must|they must|it can be|each must|evaluate\\(\\) makes|send|say|see|GET|raise"
)
_REMEDY = re.compile(rf"^(?P<wrong>.*?)[:;.] (?P<remedy>(?:{_DO})\b.*|Try again.*)$", re.S)


def pages() -> dict[str, str]:
    """Return the text of the page by its name below the folder of generated pages."""
    return {"errors.md": _page(tomllib.loads(REMEDIES.read_text(encoding="utf-8")))}


def parted(text: str, remedies: dict[str, str]) -> tuple[str, str]:
    """Part a message into what is wrong and what to do.

    Examples
    --------
    >>> parted("n is ‹n›: it must be 1 or more", {})
    ('n is ‹n›', 'it must be 1 or more')
    """
    if (key := _key(text)) in remedies:
        return text, remedies[key]
    found = _REMEDY.match(text)
    return (found["wrong"], found["remedy"]) if found else (text, "")


def _key(text: str) -> str:
    """Return a message with … for each value, which is how the file names it."""
    return re.sub(r"‹.*?›", "…", text)


def _page(remedies: dict[str, str]) -> str:
    sites = [site for site in _sites() if site.text]
    messages = {site.text for site in sites}
    lacking = sorted({_key(text) for text in messages if not parted(text, remedies)[1]})
    left_over = sorted(set(remedies) - {_key(text) for text in messages})
    if lacking or left_over:
        raise ConfigError(f"docs/remedies.toml: no remedy for {lacking}; no such message any more: {left_over}")
    lines = [_INTRODUCTION]
    for name in errors.__all__:
        if inspect.isclass(getattr(errors, name)):
            lines += _section(name, [site for site in sites if site.error == name], remedies)
    lines += ["", "## Answers of the service", "", _OF_THE_SERVICE, ""]
    lines += _table([site for site in sites if site.error in SERVICE], remedies)
    return "\n".join([*lines, ""])


def _sites() -> list[Site]:
    names = {name for name in errors.__all__ if inspect.isclass(getattr(errors, name))}
    subclasses = {"UnfitMetric": "SettingError", "missing_extra": "MissingExtraError"}
    sites = []
    for site in sites_in(SOURCE, {*names, *subclasses, *SERVICE}):
        if site.error in SERVICE and not site.module.startswith("cofactor.apps.web"):
            continue  # another thing of that name
        if site.error == "missing_extra":
            continue  # its text stands in cofactor.errors
        sites.append(Site(subclasses.get(site.error, site.error), site.text, site.module, site.function, site.line))
    return sites


def _section(name: str, sites: Sequence[Site], remedies: dict[str, str]) -> list[str]:
    doc = " ".join((inspect.getdoc(getattr(errors, name)) or "").split())
    parents = ", ".join(f"`{parent.__name__}`" for parent in getattr(errors, name).__bases__)
    lines = ["", f"## {name}", "", f"{doc} It is a {parents}.", ""]
    return lines + (_table(sites, remedies) if sites else [])


def _table(sites: Iterable[Site], remedies: dict[str, str]) -> list[str]:
    by_text: dict[str, list[Site]] = {}
    for site in sites:
        by_text.setdefault(site.text, []).append(site)
    rows = []
    for text, places in by_text.items():
        wrong, remedy = parted(text, remedies)
        raised = ", ".join(dict.fromkeys(f"`{_place(site)}`" for site in places))
        rows.append(f"| {_cell(wrong)} | {_cell(remedy)} | {raised} |")
    return ["| what it says | what to do | raised in |", "| --- | --- | --- |", *rows]


def _place(site: Site) -> str:
    return f"{site.module.removeprefix('cofactor.')}: {site.function}" if site.function else site.module


def _cell(text: str) -> str:
    """Escape what Markdown would take for markup, and set the places for values apart."""
    plain = re.sub(r"([\\*_|<>\[\]$])", r"\\\1", " ".join(text.split()))
    return re.sub(r"‹(.*?)›", r"<i>‹\1›</i>", plain)


_INTRODUCTION = """# Errors, and what to do

Whatever cofactor raises on purpose is a `CofactorError` or, where it only warns, a `GoalWarning`. Its text names the
place, the value and the remedy. This page is made from the places in the code that raise them; <i>‹a word in these
marks›</i> stands where a message shows a value.

On the command line an error is one line on stderr, with `--json` also an object with `error` on stdout. The exit code
is 2 for a wrong setting, which is a `SettingError`, as it is for an option that does not exist; for every other error
it is 1, and 130 after Ctrl-C. A warning is one line on stderr too, and the command goes on.
"""

_OF_THE_SERVICE = """`cofactor serve` answers every error with a problem document (RFC 9457): its `detail` is the text
here, and never repeats what was sent. A `CofactorError` becomes one with status 422."""
