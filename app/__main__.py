"""`python -m app` is `sizzle`."""

from app.cli.commands import main

main()
