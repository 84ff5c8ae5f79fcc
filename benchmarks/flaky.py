"""A fake provider that aborts one call in 25 half-way and rejects another one in 25 with a 503."""

import asyncio
import socket
from itertools import count
from typing import Any, cast

import uvloop

from benchmarks.provider import Connection, Provider

EVERY = 25
REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

_numbers = count(1)


class Flaky(Connection):
    """Counts the calls of all connections; the number decides which call fails."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._transport = cast(asyncio.Transport, transport)

    def _begin(self, body: dict[str, Any]) -> None:
        number = next(_numbers) % EVERY
        self._breaks_off = number == 0
        if number == EVERY // 2:
            self._write(REFUSAL)
        else:
            super()._begin(body)

    def _send_due(self) -> None:
        if self._breaks_off and self._sent > self._tokens // 2:
            self._transport.abort()
        else:
            super()._send_due()


async def serve() -> None:
    provider = Provider()
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        server = await asyncio.get_running_loop().create_server(lambda: Flaky(provider), sock=listener)
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)  # noqa: T201
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
