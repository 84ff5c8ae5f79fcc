"""The run stream: an event is a line of JSON under its name, with the id to resume from (WHATWG HTML §9.2)."""

from app.stores import EVENT_NAMES, LogEntry, RunStart, public

RETRY = b"retry: 1000\n"
SHUTDOWN_MESSAGE = b": the server is being stopped\nretry: 2000\n"  # a field takes effect without a complete block

_NAMES = {kind: name.encode() for kind, name in EVENT_NAMES.items()}


def encode_entry(entry: LogEntry) -> bytes:
    """Returns the frame of an event in the run stream."""
    json = public(entry.json) if entry.kind is RunStart else entry.json
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (str(entry.id).encode(), _NAMES[entry.kind], json)
