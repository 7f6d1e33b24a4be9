"""Every module of kernels says what it relies on, since kernels check no bounds."""

import re
from pathlib import Path

import pytest

import cofactor

HOME = Path(cofactor.__file__).parent
MODULES = sorted(path for path in HOME.rglob("*.py") if re.search(r"^@(fast_)?kernel", path.read_text(), re.MULTILINE))


@pytest.mark.parametrize("path", MODULES, ids=[str(path.relative_to(HOME)) for path in MODULES])
def test_it_says_what_it_relies_on(path):
    assert len(MODULES) > 15
    statement = path.read_text().split('"""')[1]
    assert re.search(r"^Relies on ", statement, re.MULTILINE)
    for named in re.findall(r"`(cofactor[\w.]+)`", statement):
        place = HOME.parent / named.replace(".", "/")
        assert place.is_dir() or place.with_suffix(".py").is_file(), named
