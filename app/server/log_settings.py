"""What the settings say about the log. Apart from it, so that reading the settings does not import structlog."""

from typing import Literal

LogFormat = Literal["auto", "text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]
