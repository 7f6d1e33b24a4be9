"""Formulas as MathML, which browsers draw themselves: no script and no font to fetch."""

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
    accented = re.sub(r"\\hat (\w)", r"{\\hat{\1}}", tex)  # or the subscript would be put under the letter
    return tex2mathml(accented, as_block=block).replace("&ApplyFunction;", "&#x2061;")


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
