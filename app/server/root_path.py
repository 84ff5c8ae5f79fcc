"""The prefix of all paths: where a proxy shows the server, as `--root-path` says."""

from typing import cast

from starlette.types import Scope


def root_path(scope: Scope) -> str:
    """Returns the prefix of the server's paths, such as `/sizzle`, or nothing. A mounted application has the same."""
    return cast(str, scope.get("app_root_path", scope.get("root_path", ""))).rstrip("/")


def route_path(scope: Scope) -> str:
    """Returns the path without the prefix."""
    return cast(str, scope["path"]).removeprefix(root_path(scope))
