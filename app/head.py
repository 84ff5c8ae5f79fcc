"""HEAD (RFC 9110 §9.3.2) on every route that has a GET."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadAsGet:
    """Answers a HEAD as the route's own HEAD does or, if it has none, as its GET does; the server sends no body.

    A stream has a HEAD of its own, because its GET would begin to write.
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

        await self._app(dict(scope), receive, send_unless_refused)  # routing changes the scope it is given
        if is_refused:
            await self._app({**scope, "method": "GET"}, receive, send)
        return None
