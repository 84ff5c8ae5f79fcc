"""`python -m app` is `sizzle`."""

from app.cli import main

main()
