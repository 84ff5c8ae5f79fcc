"""Converts providers' errors, which may repeat their text, into errors with our own messages."""

import re
from collections.abc import Mapping
from contextlib import suppress
from email.utils import mktime_tz, parsedate_tz
from math import inf, isfinite
from time import time
from typing import LiteralString

import aiohttp

from chains.errors import (
    MalformedResponseError,
    ProviderDisconnectedError,
    ProviderError,
    ProviderOverloadedError,
    ProviderRejectedError,
    ProviderTimeoutError,
    ProviderUnreachableError,
)
from chains.models.sse import NotAStreamError
from chains.models.stream_failures import StreamFailure
from chains.models.transport import ConnectFailedError, HttpStatusError

_NOT_ACCEPTED: LiteralString = (
    "{label} did not accept the request ({status}): check the entries of the model and its provider in the registry; "
    "limit_field, stream_usage, reasoning_effort and extra_body say what is sent."
)
_NOT_FOUND: LiteralString = (
    "{label} does not know the model or the address ({status}): check the model's id in the registry and the "
    "provider's base URL."
)
_WRONG_ADDRESS: LiteralString = (
    "{label} takes no such request at this address ({status}): check the provider's base URL."
)
_LOGIN: LiteralString = "Something on the way to {label} asks for a login ({status}): check the network and the proxy."
_UNREACHED: LiteralString = (
    "{label} could not be reached by the service in front of it ({status}): try again later, or check its base URL."
)
_BUSY: LiteralString = "{label} is overloaded ({status}): try again later, or use another provider."
_FAILED: LiteralString = "{label} failed ({status}): try again."
_MESSAGES: dict[int, LiteralString] = {
    401: "{label} did not accept the key (401): check the provider's API key in the settings.",
    402: "{label} asks for payment (402): check the account's credit.",
    403: "{label} did not allow the request (403): check what the API key may do.",
    404: _NOT_FOUND,
    405: _WRONG_ADDRESS,
    407: _LOGIN,
    408: "{label} took too long (408): try again.",
    409: _FAILED,
    410: _NOT_FOUND,
    411: _WRONG_ADDRESS,
    413: "{label} rejected the request as too large (413): lower the step's max_tokens or use another model.",
    415: _WRONG_ADDRESS,
    421: _WRONG_ADDRESS,
    426: _WRONG_ADDRESS,
    429: "{label} has had too many requests (429): wait a minute, or use another provider.",
    451: "{label} may not answer for legal reasons (451): use another provider.",
    499: "The request to {label} was closed on its way (499): check the proxy, or use another provider.",
    501: _WRONG_ADDRESS,
    511: _LOGIN,
    521: _UNREACHED,
    522: _UNREACHED,
    523: _UNREACHED,
    525: _UNREACHED,
    526: _UNREACHED,
    529: _BUSY,
    530: _UNREACHED,
}
_MOVED: LiteralString = "{label} has moved ({status}): check its base URL."

_DURATION = re.compile(  # in ASCII digits, few enough for a float
    r"(?:([0-9]{1,6})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m(?!s))?(?:([0-9]{1,9}(?:\.[0-9]{1,9})?)s)?"
    r"(?:([0-9]{1,9}(?:\.[0-9]{1,9})?)ms)?"
)
UNITS_S = (86_400, 3600, 60, 1, 0.001)
LONGEST_RETRY_AFTER_S = 120  # a longer delay means no retry, as in those SDKs


def to_provider_error(label: str, error: Exception, written: bool) -> ProviderError:
    """Returns the error for users. `written` is whether the provider `label` had sent any text."""
    match error:
        case ProviderError():
            return error
        case HttpStatusError(status=status, headers=headers):
            return _refused(label, status, headers)
        case StreamFailure(status=int(status)):
            return _refused(label, status, {})
        case TimeoutError():
            if written:
                return ProviderTimeoutError("{label} stopped sending: try again.", label=label)
            return ProviderTimeoutError("{label} did not answer in time: try again.", label=label)
        case ConnectFailedError():
            return ProviderUnreachableError(
                "{label} could not be reached: check the network, the base URL, the proxy and the API key's form.",
                label=label,
            )
        case aiohttp.ClientError() | OSError():
            return ProviderDisconnectedError("{label} closed the connection early: try again.", label=label)
        case _:
            return MalformedResponseError("{label} failed or sent an invalid response: try again.", label=label)


def log_label(error: Exception) -> str:
    """Returns the error's name, and its status or reason if it has one, for the log."""
    match error:
        case HttpStatusError(status=status) | StreamFailure(status=status):
            return f"{type(error).__name__} {status}"
        case ConnectFailedError() | NotAStreamError():
            return f"{type(error).__name__}: {error}"
        case _:
            return type(error).__name__


def _refused(label: str, status: int, headers: Mapping[str, str]) -> ProviderError:
    delay_s = retry_after(headers)
    if delay_s is None and status == 429:
        delay_s = _reset_of_limit(headers)
    template = _MESSAGES.get(status, _FAILED if status >= 500 else _NOT_ACCEPTED if status >= 400 else _MOVED)
    if not (status in (408, 409, 429) or status >= 500 or headers.get("x-should-retry") == "true"):
        return ProviderRejectedError(template, label=label, status=status)
    failure = ProviderOverloadedError(template, label=label, status=status, retry_after=delay_s)
    is_too_long = delay_s is not None and delay_s > LONGEST_RETRY_AFTER_S
    failure.same_model_may_retry = not is_too_long and headers.get("x-should-retry") != "false"
    return failure


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Returns the Retry-After delay in seconds, at least 0, or None if there is none.

    The official OpenAI SDKs read it in the same way: `retry-after-ms`, then `retry-after` in seconds, which may have
    fractions, or as a date (RFC 9110 §10.2.3).
    """
    delay_s = _retry_after(headers)
    return max(0.0, delay_s) if delay_s is not None and isfinite(delay_s) else None


def _reset_of_limit(headers: Mapping[str, str]) -> float | None:
    """Returns after how many seconds the exhausted limits are reset. Groq writes them as 2m59.56s, 7.66s or 120ms.

    https://console.groq.com/docs/rate-limits
    """
    used_up = [
        kind for kind in ("requests", "tokens") if headers.get(f"x-ratelimit-remaining-{kind}", "").strip() == "0"
    ]
    resets = (_duration_s(headers.get(f"x-ratelimit-reset-{limit}", "")) for limit in used_up)
    return max((seconds for seconds in resets if seconds is not None), default=None)


def _duration_s(text: str) -> float | None:
    found = _DURATION.fullmatch(text.strip())
    if not found or not found[0]:
        return None
    return sum(float(number) * unit_s for number, unit_s in zip(found.groups("0"), UNITS_S, strict=True))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1)):
        with suppress(KeyError, ValueError):
            text = headers[name]
            delay_s = float(text) * unit_s
            return LONGEST_RETRY_AFTER_S + 1 if delay_s == inf and "inf" not in text.lower() else delay_s
    with suppress(TypeError, ValueError, OverflowError, OSError):
        date = parsedate_tz(headers.get("retry-after", ""))
        return mktime_tz(date) - time() if date else None
    return None
