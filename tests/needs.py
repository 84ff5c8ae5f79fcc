"""Programs that tests need. Without one a test is skipped, except in CI, where it fails."""

import os
import shutil
from typing import NoReturn

import pytest

from tests.amounts import IN_CI


def program(name: str) -> str:
    """Returns the path of a program from Debian."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    return found or give_up(f"needs Debian's package {name}")


def give_up(reason: str) -> NoReturn:
    if IN_CI:
        pytest.fail(reason)
    pytest.skip(reason)
