"""Inputs of routes whose types a composition decides."""

from typing import Any, Literal

from fastapi import Depends

from chains.parts.composition import Composition, Request


def body_of(model: type[Request]) -> Any:
    """Returns the dependency on a body of this type."""

    async def read(body: Request) -> Request:
        return body

    read.__annotations__["body"] = model
    return Depends(read)


def part_of(composition: Composition) -> Any:
    """Returns the dependency on the name of a part in the path."""

    async def read(part: str) -> str:
        return part

    read.__annotations__["part"] = Literal[composition.names]  # pyright: ignore
    return Depends(read)
