"""The settings of the log, in a module of their own so that reading them does not import structlog."""

from typing import Literal

LogFormat = Literal["auto", "text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]
