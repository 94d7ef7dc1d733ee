"""How Sphinx builds this documentation: `make docs`."""

from importlib.metadata import version as installed

project = "ringfence"
author = "ringfence contributors"
version = release = installed("ringfence")
extensions = ["myst_parser"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"ringfence {release}"
exclude_patterns = ["_build"]
