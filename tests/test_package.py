"""The files of an installed package."""

import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("package", ["app", "chains"])
def test_packages_say_that_they_are_typed(package: str) -> None:
    assert (files(package) / "py.typed").is_file()


@pytest.mark.parametrize("package", ["app", "chains"])
def test_every_file_of_a_package_is_installed(package: str) -> None:
    """Every file other than Python matches a pattern of package-data, so the wheel contains it."""
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["*"]
    others = [path for path in (ROOT / package).rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
    assert others
    assert [path for path in others if not any(path.match(pattern) for pattern in patterns)] == []
