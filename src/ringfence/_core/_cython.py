"""Stand-ins for the few names of the `cython` module that the sources use, where Cython is not installed.

Interpreted, they do nothing.
"""

compiled = False
