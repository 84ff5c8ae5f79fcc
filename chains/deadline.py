"""A deadline for a stream as a whole, which comments that keep a connection alive don't put off."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

from chains.errors import ProviderError

T = TypeVar("T")


async def within(seconds: float, items: AsyncGenerator[T]) -> AsyncGenerator[T]:
    """The items. Raises `ProviderError` and closes their source when it has not come to its end in time."""
    ends = asyncio.get_running_loop().time() + seconds
    async with aclosing(items):
        while True:
            try:
                # around each wait and not around all, for the items may be read by one task after another
                async with asyncio.timeout_at(ends):
                    item = await anext(items)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise ProviderError(f"This took longer than {seconds:g} seconds: try again.") from None
            yield item
