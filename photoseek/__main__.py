"""`python -m photoseek`: the command line."""

from cli import run

run()
