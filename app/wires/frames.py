"""Frames of server-sent events (WHATWG HTML §9.2); those that arrive together are joined into few writes."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import orjson

from app.stores import LogEntry

DONE = b"data: [DONE]\n\n"  # the last frame of OpenAI's streams

MAX_JOINED_EVENTS = 16
CHUNK_BYTES = 64 * 1024  # per write to a slow reader


def json_frame(data: object, **fields: str | int) -> bytes:
    """Returns the frame of an event whose data is JSON, after fields such as `event` and `id`."""
    frame = b"data: %b\n\n" % orjson.dumps(data)
    return "".join(f"{name}: {value}\n" for name, value in fields.items()).encode() + frame if fields else frame


def join_frames(encode: Callable[[LogEntry], bytes], entries: Sequence[LogEntry]) -> Iterable[bytes]:
    """Encodes a batch of entries as one chunk, or as several if it is large."""
    if len(entries) <= MAX_JOINED_EVENTS:
        return (b"".join([encode(entry) for entry in entries]),)
    return _bounded(map(encode, entries))


def _bounded(frames: Iterable[bytes]) -> Iterator[bytes]:
    """Joins frames into chunks of at least `CHUNK_BYTES`, except the last."""
    buffer, size = list[bytes](), 0
    for frame in frames:
        buffer.append(frame)
        size += len(frame)
        if size >= CHUNK_BYTES:
            yield b"".join(buffer)
            buffer, size = [], 0
    if size:
        yield b"".join(buffer)
