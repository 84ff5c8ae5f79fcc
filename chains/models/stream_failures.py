"""Failures that a provider reports inside a stream that began with HTTP 200.

Each is mapped to an HTTP status, so that it is retried or rejected like a response with that status.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

Json = Mapping[str, Any]

_CODE_FIELDS = ("code", "status")  # also as the end of a name: `http_status_code`, `statusCode`
_TEXT_FIELDS = ("message", "msg", "detail", "error")
_NUMBER_IN_TEXT = re.compile(r"\b(?:code|status|http|error)\W{0,3}([45]\d\d)\b", re.IGNORECASE)
_NAME_FIELDS = ("code", "type", "status", "error_type", "error", "__type", "reason")
# Fields of a body without choices that report a failure, beside those whose name says so: FastAPI, AWS …
_FAILURE_FIELDS = ("detail", "message", "msg", "fault")
# What a body says that only reports how things are going.
_PROGRESS = ("ping", "heartbeat", "info", "status", "progress", "queued", "pending", "loading", "starting", "running")
_MOST_WORDS = 3
# Parts of the names that providers use, in the order of precedence.
_STATUSES: tuple[tuple[int, tuple[str, ...]], ...] = (
    (402, ("payment", "billing", "insufficient_quota", "user_quota", "credit", "balance", "arrear")),
    (429, ("rate_limit", "ratelimit", "too_many", "toomany", "resource_exhausted", "throttl", "quota")),
    (401, ("authentication", "api_key", "apikey", "unauthorized", "unauthenticated", "auth_error", "token_expired")),
    (403, ("permission", "forbidden", "access_denied", "accessdenied", "deactivated", "suspended")),
    (404, ("not_found", "notfound", "no_such_model", "decommission")),
    (413, ("context_length", "too_large", "toolarge", "string_above_max")),
    (408, ("timeout", "timed_out", "deadline_exceeded")),
    (503, ("overload", "unavailable", "capacity", "busy")),
    (500, ("internal", "server_error", "servererror", "api_error", "apierror")),
    (
        400,
        ("invalid", "bad_request", "badrequest", "validation", "unsupported", "unprocessable", "filter", "moderation"),
    ),
)


class StreamFailure(Exception):
    """A failure that the provider reported in its stream. `status` is the HTTP status that it stands for, if any.

    It contains none of the provider's words.
    """

    def __init__(self, status: int | None = None) -> None:
        super().__init__(status)
        self.status = status


def failure_in(chunk: Json) -> StreamFailure | None:
    """Returns the failure that the chunk reports, if any."""
    for error in _errors(chunk):
        return StreamFailure(_status((error, chunk)))
    return None


def _errors(chunk: Json) -> Iterable[object]:
    choices = chunk.get("choices")
    first = cast(list[object], choices)[0] if isinstance(choices, list) and choices else None
    delta = cast(Json, first).get("delta") if isinstance(first, Mapping) else None
    for holder in cast(tuple[object, ...], (chunk, chunk.get("x_groq"), first, delta)):
        if isinstance(holder, Mapping):
            yield from filter(None, map(cast(Json, holder).get, ("error", "errors")))
    kinds = map(chunk.get, ("object", "type", "__type", "status"))
    says_so = any(isinstance(kind, str) and _means_failure(kind) for kind in kinds) or _has_bad_code(chunk)
    says_so = says_so or any(chunk.get(field) is False for field in ("success", "ok"))
    if says_so or (not choices and not _means_success(chunk) and any(map(_is_failure_field, chunk, chunk.values()))):
        yield chunk


def _means_failure(word: str) -> bool:
    return any(mark in word.casefold() for mark in ("error", "fail", "exception"))


def _means_success(chunk: Json) -> bool:
    is_progress = any(chunk.get(field) in _PROGRESS for field in ("type", "status", "event"))
    return is_progress or str(chunk.get("code")) in ("0", "200") or chunk.get("success") is True


def _is_failure_field(name: str, value: object) -> bool:
    is_name = name.casefold() in _FAILURE_FIELDS or _means_failure(name)
    return bool(value) if is_name else _is_code_field(name) and _number(value) is not None


def _is_code_field(name: str) -> bool:
    return name.casefold().endswith(_CODE_FIELDS)


def _has_bad_code(chunk: Json) -> bool:
    """MiniMax reports failures in `base_resp`, with numbers of its own."""
    report = chunk.get("base_resp")
    return isinstance(report, Mapping) and bool(cast(Json, report).get("status_code"))


def _status(places: Iterable[object]) -> int | None:
    """Returns the numeric status, otherwise the one that a name such as `rate_limit_exceeded` stands for."""
    reports = [report for place in places for report in _reports(place)]
    numbers = (_number(value) for report in reports for field, value in report.items() if _is_code_field(field))
    names = {_named(report.get(field)) for report in reports for field in _NAME_FIELDS}
    names |= {_named(field) for report in reports for field in filter(_means_failure, report)}  # Bedrock's
    in_order = (status for status, _ in _STATUSES if status in names)
    texts = (_number_in(report.get(field)) for report in reports for field in _TEXT_FIELDS)
    found = (next(filter(None, statuses), None) for statuses in (numbers, in_order, texts))
    return next(filter(None, found), None)


def _reports(error: object, depth: int = 3) -> Iterable[Json]:
    """Yields the error and the errors nested in it: some providers forward another one's."""
    if isinstance(error, list):
        error = cast(list[object], error)[0] if error else None
    if isinstance(error, str | int | float):
        yield {"code": error, "error": error}
    if isinstance(error, Mapping) and depth:
        report = cast(Json, error)
        yield report
        for field in ("error", "errors", "detail", "metadata", "response"):
            yield from _reports(report.get(field), depth - 1)


def _number(value: object) -> int | None:
    text = f"{value:g}" if isinstance(value, int | float) else value if isinstance(value, str) else ""
    return int(text) if len(text) == 3 and text.isdecimal() and "400" <= text <= "599" else None


def _number_in(text: object) -> int | None:
    """Returns the status in a text such as `Error code: 429 - …`, which some proxies forward."""
    found = _NUMBER_IN_TEXT.search(text[:200]) if isinstance(text, str) else None
    return int(found[1]) if found else None


def _named(value: object) -> int | None:
    if not isinstance(value, str) or len(value.split()) > _MOST_WORDS:  # a sentence
        return None
    name = value[:100].casefold().replace("-", "_").replace(" ", "_")
    return next((status for status, marks in _STATUSES if any(mark in name for mark in marks)), None)
