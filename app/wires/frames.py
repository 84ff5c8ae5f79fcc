"""Joins the frames of log entries that arrive together into few writes."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from app.stores import LogEntry

MAX_JOINED_EVENTS = 16
CHUNK_BYTES = 64 * 1024  # per write to a slow reader


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
