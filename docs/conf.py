"""How the documentation is built: Sphinx, MyST and the PyData theme; nothing is fetched, and what is generated
stays out of git."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "extensions")]

from cofactor.version import __version__  # noqa: E402

project = "cofactor"
author = "The cofactor authors"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "numpydoc",
    "mathml",
    "drawing",
    "executed",
    "measured",
    "generated",
]
exclude_patterns = ["_build", "extensions", "drawings"]
show_warning_types = True

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

default_role = "py:obj"  # a name in backticks in a docstring is a link where there is such a name
add_module_names = False
autodoc_typehints = "none"  # numpydoc says what a parameter is, in words
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
html_math_renderer = "mathml"

html_theme = "pydata_sphinx_theme"
html_title = "cofactor"
html_favicon = "../src/cofactor/apps/web/page/icon.svg"
html_static_path = ["static"]
html_css_files = ["cofactor.css"]
html_context = {"default_mode": "auto"}
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {
    name: [] for name in ("index", "getting-started", "generated/tutorial", "solvers", "architecture", "changelog")
}
html_theme_options = {
    "logo": {"text": "cofactor", "image_light": "static/mark.svg", "image_dark": "static/mark.svg"},
    "header_links_before_dropdown": 7,
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": {"**": ["page-toc"], "index": []},
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
project_copyright = "The cofactor authors, Apache-2.0"
html_show_copyright = True
