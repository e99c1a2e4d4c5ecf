"""The version, by itself so that ``--help`` need not import more."""

__version__ = "0.1.0"
