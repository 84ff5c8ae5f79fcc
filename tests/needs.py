"""Programs that tests need. Without one a test is skipped, except in CI, where it fails."""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

from tests.amounts import IN_CI


def program(name: str) -> str:
    """Returns the path of a program from Debian."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    return found or give_up(f"needs Debian's package {name}")


def fake_clock(file: Path) -> dict[str, str]:
    """Returns the environment of a process whose clock is offset by what is in the file, such as +1d."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    file.write_text("+0")
    return {
        "LD_PRELOAD": str(library or give_up("needs Debian's package faketime")),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def give_up(reason: str) -> NoReturn:
    if IN_CI:
        pytest.fail(reason)
    pytest.skip(reason)
