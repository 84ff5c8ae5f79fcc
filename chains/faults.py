"""What a provider did, told in our words: errors that may repeat what it said become our own."""

from collections.abc import Mapping
from contextlib import suppress
from email.utils import mktime_tz, parsedate_tz
from math import inf, isfinite
from time import time

import aiohttp

from chains.errors import Disconnected, Overloaded, ProviderError, Refused, Stalled, Unreachable, Unreadable
from chains.merging import NotAStreamError
from chains.stream_failures import StreamFailure
from chains.transport import Declined, Unanswered

CHECK_FIELDS = (
    "check the entries of the model and its provider in the registry: "
    "limit_field, stream_usage, reasoning_effort and extra_body say what is sent."
)
CHECK_ADDRESS = "check the provider's base URL in the registry or the settings"
_REFUSALS = {
    400: f"did not accept the request (400): {CHECK_FIELDS}",
    401: "did not accept the key (401): check the provider's API key in the settings.",
    402: "asks for payment (402): check the account's credit.",
    403: "did not allow the request (403): check what the API key may do.",
    404: f"does not know the model or the address (404): check the model's id in the registry, and {CHECK_ADDRESS}.",
    405: f"takes no such request at this address (405): {CHECK_ADDRESS}.",
    407: "is behind a proxy that asks for a login (407): check HTTPS_PROXY, HTTP_PROXY or ALL_PROXY.",
    410: f"no longer has the model or the address (410): check the model's id in the registry, and {CHECK_ADDRESS}.",
    411: f"is behind something that takes no such request (411): {CHECK_ADDRESS}.",
    413: "found the request too large (413): lower the step's max_tokens or use another model.",
    415: f"takes no JSON at this address (415): {CHECK_ADDRESS}.",
    421: f"does not answer for this host (421): {CHECK_ADDRESS}.",
    422: f"did not accept the request (422): {CHECK_FIELDS}",
    426: f"wants another protocol (426): {CHECK_ADDRESS}, which may have to begin with https.",
    431: "found the headers too large (431): check the provider's API key and extra_headers in the registry.",
    451: "may not answer for legal reasons (451): use another provider.",
    499: "had its request closed by something on the way (499): raise that proxy's timeout, or use another provider.",
}
_OVERLOADS = {
    408: "took too long (408): try again.",
    409: "was busy with something that conflicts (409): try again.",
    429: "has had too many requests (429): wait a minute, or use another provider.",
    501: f"can't do this (501): {CHECK_ADDRESS}.",
    511: "is behind a network that asks for a login (511): log in to the network.",
    520: "sent its front something that can't be read (520): try again.",
    521: f"is down (521): try again later, or {CHECK_ADDRESS}.",
    522: f"could not be reached by its front in time (522): try again later, or {CHECK_ADDRESS}.",
    523: f"could not be reached by its front (523): try again later, or {CHECK_ADDRESS}.",
    524: "took too long for its front (524): try again.",
    525: f"has trouble with its certificate (525): try again later, or {CHECK_ADDRESS}.",
    526: f"has trouble with its certificate (526): try again later, or {CHECK_ADDRESS}.",
    527: "lost its connection to its front (527): try again.",
    529: "has too much to do (529): try again later, or use another provider.",
    530: f"could not be found by its front (530): try again later, or {CHECK_ADDRESS}.",
}


LONGEST_RETRY_AFTER_S = 120  # a provider that asks to be spared for longer is not asked again, as by those SDKs


def in_our_words(label: str, error: Exception, written: bool) -> ProviderError:
    """What `error` says of the provider `label`, which had `written` something or nothing."""
    match error:
        case ProviderError():
            return error
        case Declined(status=status, headers=headers):
            return _refused(label, status, headers)
        case StreamFailure(status=int(status)):
            return _refused(label, status, {})
        case TimeoutError():
            return Stalled(f"{label} {'fell silent' if written else 'did not answer in time'}: try again.")
        case Unanswered():
            return Unreachable(
                f"{label} could not be reached: check the network, the base URL, the proxy and the API key's form."
            )
        case aiohttp.ClientError() | OSError():
            return Disconnected(f"{label} broke the connection off: try again.")
        case _:
            return Unreadable(f"{label} failed or sent what can't be read: try again.")


def kind(error: Exception) -> str:
    """The error's name, and its status or reason if it has one: what can go into a log."""
    match error:
        case Declined(status=status) | StreamFailure(status=status):
            return f"{type(error).__name__} {status}"
        case Unanswered() | NotAStreamError():
            return f"{type(error).__name__}: {error}"
        case _:
            return type(error).__name__


def _refused(label: str, status: int, headers: Mapping[str, str]) -> ProviderError:
    delay_s = retry_after(headers)
    said = _OVERLOADS.get(status) or _REFUSALS.get(status) or _other(status)
    if not (status in (408, 409, 429) or status >= 500 or headers.get("x-should-retry") == "true"):
        return Refused(f"{label} {said}")
    failure = Overloaded(f"{label} {said}", delay_s)
    is_too_long = delay_s is not None and delay_s > LONGEST_RETRY_AFTER_S
    failure.may_ask_again = not is_too_long and headers.get("x-should-retry") != "false"
    return failure


def _other(status: int) -> str:
    if status >= 500:
        return f"failed ({status}): try again."
    if status >= 400:
        return f"did not accept the request ({status}): {CHECK_FIELDS}"
    return f"has moved ({status}): {CHECK_ADDRESS}."


def retry_after(headers: Mapping[str, str]) -> float | None:
    """In how many seconds the provider wants to be asked again, never below 0, if it says so.

    It is read as the official OpenAI SDKs do: `retry-after-ms`, then `retry-after` in seconds, which may have
    fractions, or as a date (RFC 9110 §10.2.3).
    """
    delay_s = _retry_after(headers)
    return max(0.0, delay_s) if delay_s is not None and isfinite(delay_s) else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1)):
        with suppress(KeyError, ValueError):
            text = headers[name]
            delay_s = float(text) * unit_s
            return LONGEST_RETRY_AFTER_S + 1 if delay_s == inf and text.strip("+ ")[:1].isdigit() else delay_s
    date = parsedate_tz(headers.get("retry-after", ""))
    with suppress(ValueError, OverflowError, OSError):
        return mktime_tz(date) - time() if date else None
    return None
