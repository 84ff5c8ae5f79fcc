"""Answers HEAD (RFC 9110 §9.3.2) on every route with a GET."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadAsGet:
    """Answers a HEAD with the route's HEAD or, if it has none, with its GET; the server sends no body.

    Streams have their own HEAD, because their GET would start work.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            return await self._app(scope, receive, send)
        is_refused = False

        async def send_unless_refused(message: Message) -> None:
            nonlocal is_refused
            is_refused = is_refused or message.get("status") == 405
            if not is_refused:
                await send(message)

        await self._app(dict(scope), receive, send_unless_refused)  # a copy, because routing changes the scope
        if is_refused:
            await self._app({**scope, "method": "GET"}, receive, send)
        return None
