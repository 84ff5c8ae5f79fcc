"""Everything about a run except its events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.stores import EventId, ExpiredRunError, UnknownRunError
from app.stores.redis.scripts import EXPIRED, UNKNOWN


@dataclass(frozen=True, slots=True)
class RunMeta:
    """A run's hash: the writer's `term`, the epochs, and the length of each earlier one in events."""

    term: int
    number: int  # of the current epoch
    epochs: tuple[str, ...]
    lengths: Mapping[str, int]
    last: int
    size: int  # in bytes
    has_ended: bool
    is_reopened: bool  # it has ended before, and only its rewrites are written
    age_ms: int
    takes: int  # by workers since a part has ended; more than one if workers died
    active_ms: int  # without the time between an end and a reopening
    composition: str | None  # unknown if an older version has begun the run

    @classmethod
    def parse(cls, now_ms: int, items: Sequence[bytes]) -> "RunMeta":
        """Reads the reply of HGETALL. Fields that a newer version has added are ignored.

        No time passes while the server's clock is set back.
        """
        fields = {name.decode(): value for name, value in zip(items[::2], items[1::2], strict=True)}
        number, has_ended = int(fields["number"]), fields["ended"] == b"1"
        composition = fields.get("composition")
        epochs = tuple(fields[f"epoch:{each}"].decode() for each in range(number + 1))
        return cls(
            term=int(fields["term"]),
            number=number,
            epochs=epochs,
            lengths={epochs[each]: int(fields[f"kept:{each}"]) for each in range(number)},
            last=int(fields["last"]),
            size=int(fields["bytes"]),
            has_ended=has_ended,
            is_reopened="reopened" in fields,
            age_ms=max(0, now_ms - int(fields["began_ms"])),
            takes=int(fields.get("takes", b"0")),
            active_ms=int(fields["active_ms"]) + (0 if has_ended else max(0, now_ms - int(fields["since_ms"]))),
            composition=composition.decode() if composition else None,
        )

    @property
    def epoch(self) -> str:
        return self.epochs[self.number]

    def resume_index(self, last: EventId | None) -> int:
        """Returns the index of the first event after `last`."""
        if not last:
            return 0
        if last.epoch != self.epoch:
            return min(last.seq, self.lengths.get(last.epoch, 0))
        return last.seq if last.seq <= self.last else 0

    def continues(self, last: EventId) -> bool:
        """Whether the log has this event, and has or will have more."""
        return self.resume_index(last) == last.seq and not (self.has_ended and self.last == last.seq)


def meta_of(answer: Any) -> RunMeta:
    """Reads a script's answer. Raises `ExpiredRunError` and `UnknownRunError`."""
    if answer[0] == EXPIRED:
        raise ExpiredRunError
    if answer[0] == UNKNOWN:
        raise UnknownRunError
    return RunMeta.parse(*answer)
