"""`python -m pdp`."""

from pdp.cli import main

main()
