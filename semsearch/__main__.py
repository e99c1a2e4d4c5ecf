"""``python -m semsearch``."""

from semsearch.cli import main

main(prog_name="semsearch")
