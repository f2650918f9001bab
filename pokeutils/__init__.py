"""A small package for the notebook series: pictures in, new creatures out.

Importing it imports nothing else and changes nothing. Name the module you want:
`from pokeutils.common import env`.
"""

__version__ = "0.1.0"
