"""The log of a process of our own: text on a terminal, one JSON object per line otherwise.

Records of `logging`, including those of Uvicorn and other libraries, pass through structlog's formatter. Only the
command line calls `configure_logging`, because a program that embeds `create_app()` has a log of its own.
"""

import logging
import sys
import traceback
from collections.abc import Callable
from types import TracebackType

import orjson
import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor

from app.clients import LOCAL, current_client
from app.server.langsmith import first_line
from app.server.log_settings import LogFormat, LogLevel
from app.traces import trace_id

MAX_FRAMES = 20  # of an exception's stack
# libraries that log each request, with its address and sometimes its content
CHATTY = ("aiohttp", "asyncio", "httpcore", "httpx", "langsmith", "openai", "opentelemetry", "urllib3", "websockets")


def configure_logging(log_format: LogFormat, level: LogLevel) -> None:
    """Makes this process write its log to the standard error, in UTC."""
    is_text = log_format == "text" or (log_format == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler()
    handler.setFormatter(_formatter(_text_renderer() if is_text else structlog.processors.JSONRenderer(_json)))
    root = logging.getLogger()
    root.handlers, root.level = [handler], logging.WARNING
    logging.captureWarnings(True)
    for name in ("app", "chains", "uvicorn"):
        logging.getLogger(name).setLevel(level.upper())
    if level == "debug":
        logging.getLogger("uvicorn").setLevel(logging.INFO)  # its debug lines contain headers, tokens among them
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("opentelemetry.util.re").setLevel(logging.ERROR)  # its warnings quote headers, keys among them
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)  # `RequestLog` replaces it


def _formatter(renderer: Processor) -> ProcessorFormatter:
    return ProcessorFormatter(
        processors=[ProcessorFormatter.remove_processors_meta, _without_messages, renderer],
        foreign_pre_chain=[
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.stdlib.ExtraAdder(),
            structlog.contextvars.merge_contextvars,
            _add_context,
            _tidy,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        ],
    )


def _text_renderer() -> Processor:
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), timestamp_key="time", pad_event_to=0)


def _json(event: EventDict, default: Callable[[object], object], **_: object) -> str:
    order = ("time", "level", "logger", "event")
    fields = {name: event.pop(name) for name in order if name in event}
    return orjson.dumps({**fields, **event}, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _add_context(_: object, __: str, event: EventDict) -> EventDict:
    if (client := current_client()) != LOCAL:
        event.setdefault("client", client.name)
    if trace := trace_id():
        event.setdefault("trace_id", trace)
    return event


def _tidy(_: object, __: str, event: EventDict) -> EventDict:
    event.pop("color_message", None)  # Uvicorn's event with escape sequences
    message = str(event["event"]).strip()
    event["event"] = first_line(message) if str(event.get("logger")).startswith("langsmith") else message
    if event.get("route") == event["event"]:  # a request's own line
        del event["route"]
    return event


def _without_messages(_: object, __: str, event: EventDict) -> EventDict:
    """Replaces an exception with its type and locations: its message may repeat what a user or provider wrote."""
    match event.pop("exc_info", None):
        case (_, BaseException() as error, _) | (BaseException() as error):
            event["exception"] = type(error).__name__
            event["stack"] = _places(error.__traceback__)
        case _:
            pass
    return event


def _places(frames: TracebackType | None) -> list[str]:
    places = traceback.extract_tb(frames)[-MAX_FRAMES:]
    return [f"{place.filename}:{place.lineno} in {place.name}" for place in places]
