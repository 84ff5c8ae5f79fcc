"""What a provider did, told in our words: errors that may repeat what it said become our own."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from math import isfinite
from time import time

import aiohttp

from chains.errors import Disconnected, Overloaded, ProviderError, Refused, Stalled, Unreachable, Unreadable
from chains.merging import NotAStreamError
from chains.stream_failures import StreamFailure
from chains.transport import Declined, Unanswered

_REFUSALS = {
    400: "did not accept the request (400): check the model's entry in the registry.",
    401: "did not accept the key (401): check the provider's API key in the settings.",
    402: "asks for payment (402): check the account's credit.",
    403: "did not allow the request (403): check what the API key may do.",
    404: "does not know the model (404): check the model's id in the registry.",
    413: "found the request too large (413): lower the step's max_tokens or use another model.",
}
_OVERLOADS = {
    408: "took too long (408): try again.",
    429: "has had too many requests (429): wait a minute, or use another provider.",
}


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
            return Unreachable(f"{label} could not be reached: check the network, the base URL and the API key's form.")
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
    if status in _OVERLOADS or status >= 500:
        told = _OVERLOADS.get(status, f"failed ({status}): try again.")
        return Overloaded(f"{label} {told}", retry_after(headers.get("retry-after")))
    if 300 <= status < 400:
        return Refused(f"{label} has moved ({status}): check its base URL.")
    told = _REFUSALS.get(status, f"did not accept the request ({status}): check the model's entry in the registry.")
    return Refused(f"{label} {told}")


def retry_after(value: str | None) -> float | None:
    """Seconds from now, never below 0, of a `Retry-After` (RFC 9110 §10.2.3): a number of seconds or a date."""
    if value is None:
        return None
    try:
        seconds = float(value) if value.strip().isdecimal() else parsedate_to_datetime(value).timestamp() - time()
    except (ValueError, OverflowError):
        return None
    return max(0.0, seconds) if isfinite(seconds) else None
