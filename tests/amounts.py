"""How many cases a property is tried on: all of them with CI=true, else a third, for a developer who waits for it."""

import os

IN_CI = os.environ.get("CI") == "true"


def cases(in_ci: int) -> int:
    return in_ci if IN_CI else in_ci // 3
