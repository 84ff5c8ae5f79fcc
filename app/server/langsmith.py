"""LangSmith, to which LangChain reports its runs if the environment says so."""

import os
import re

from chains.errors import ConfigError


def prepare_langsmith() -> None:
    """Makes LangSmith's tracing leave out prompts and answers, unless the environment says otherwise.

    Raises `ConfigError` if it is on but cannot work.
    """
    for name in ("HIDE_INPUTS", "HIDE_OUTPUTS"):
        if f"LANGCHAIN_{name}" not in os.environ:
            os.environ.setdefault(f"LANGSMITH_{name}", "true")
    if (_variable("TRACING_V2") or _variable("TRACING")) == "true":
        _check()


def first_line(message: str) -> str:
    """Returns the first line of a log message. LangSmith's others, which may be escaped, have a part of its key."""
    return re.split(r"\n|\\n", message.strip(), maxsplit=1)[0]


def _check() -> None:
    endpoint, rate = _variable("ENDPOINT"), _variable("TRACING_SAMPLING_RATE")
    if not endpoint and not _variable("API_KEY"):
        raise ConfigError("LANGSMITH_API_KEY is missing, but LANGSMITH_TRACING is on: set it, or turn tracing off.")
    if endpoint and not endpoint.strip("\"'").startswith(("http://", "https://")):
        raise ConfigError("LANGSMITH_ENDPOINT: expected an address such as https://api.smith.langchain.com.")
    try:
        is_rate = 0 <= float(rate or 1) <= 1
    except ValueError:
        is_rate = False
    if not is_rate:
        raise ConfigError("LANGSMITH_TRACING_SAMPLING_RATE: expected a number from 0 to 1.")


def _variable(name: str) -> str:
    """Returns the value of a variable, which has one of two prefixes."""
    return os.environ.get(f"LANGSMITH_{name}") or os.environ.get(f"LANGCHAIN_{name}") or ""
