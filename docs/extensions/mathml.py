"""Formulas as MathML, which browsers render without a script or a font."""

import re
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

__all__ = ["setup", "to_mathml"]


def to_mathml(tex: str, *, block: bool = False) -> str:
    r"""Return a formula as MathML.

    Examples
    --------
    >>> "<msub>" in to_mathml(r"\hat r_{ui}")
    True
    """
    accented = re.sub(r"\\hat (\w)(_?)", _accented, tex)
    drawn = tex2mathml(accented, as_block=block).replace("&ApplyFunction;", "&#x2061;")
    return drawn.replace('<mo stretchy="false">|', '<mo stretchy="false" lspace="0" rspace="0">|')


def _accented(found: re.Match[str]) -> str:
    """Close off an accented letter, or its subscript would be put under it."""
    return rf"{{\hat{{{found[1]}}}}}" + ("{}_" if found[2] else "")


def _inline(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(to_mathml(node.astext()))
    raise nodes.SkipNode


def _block(self: HTML5Translator, node: nodes.math_block) -> None:
    self.body.append(f'<div class="math-block">{to_mathml(node.astext(), block=True)}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Make it the renderer named ``mathml``."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
