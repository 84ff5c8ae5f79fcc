"""How many cases a property is tested with: all with CI=true, otherwise a third, so that developers wait less."""

import os

IN_CI = os.environ.get("CI") == "true"


def cases(in_ci: int) -> int:
    return in_ci if IN_CI else in_ci // 3
