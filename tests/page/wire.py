"""A fake server for the page, whose runs follow scripts, and locators of the page."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route as Path
from starlette.staticfiles import StaticFiles

from app.api.compositions import describe
from app.compositions import place_of
from app.server.page import WEB, composition_page, page_response
from app.server.security_headers import PAGE_HEADERS
from chains.recipe.composition import RECIPE
from tests.servers import RECIPES, Gate

PARTS = ("alternates", "ingredients", "intro", "nutrition", "sides", "steps")
CHOSEN_PARTS = PARTS[1:]
REQUEST = {"ingredientsOnHand": "beef flank, onions", "prepTime": 45, "language": "en"}


@dataclass(frozen=True)
class Event:
    """An event of a run without its id, which the log sets; `at_ms` is ten times its number by default."""

    name: str
    fields: dict[str, Any]

    def frame(self, epoch: int, number: int) -> str:
        data = json.dumps({"at_ms": 10 * number, **self.fields}, ensure_ascii=False)
        return f"id: e{epoch}-{number}\nevent: {self.name}\ndata: {data}\n\n"


class Cut:
    """Breaks the connections of all readers of the run."""


class TakeOver:
    """Another process goes on with the run."""


Move = Event | Gate | Cut | TakeOver


def event(name: str, **fields: Any) -> Event:
    return Event(name, fields)


def run_begins(parts: tuple[str, ...] = PARTS, **request: Any) -> Event:
    return event("run", run_id="r", composition="recipe", request={**REQUEST, **request}, parts=parts)


def proposed(recipes: list[dict[str, str]] = RECIPES, picked: int = 0) -> Event:
    return event("proposal", options=recipes, picked=picked)


def fragment(part: str, text: str, **fields: Any) -> Event:
    return event("fragment", part=part, text=text, **fields)


def start(part: str, attempt: int = 1, **fields: Any) -> Event:
    return event("part_start", part=part, attempt=attempt, provider="groq", model=f"{part}-model", **fields)


def stop(part: str, status: str = "ok", message: str | None = None, **fields: Any) -> Event:
    figures = {"finish_reason": "stop", "ttft_ms": 210, "tokens": 90, "tokens_per_s": 412.4}
    return event("part_end", part=part, status=status, message=message, **figures, **fields)


def written(part: str, text: str, attempt: int = 1) -> list[Event]:
    return [start(part, attempt), fragment(part, text), stop(part)]


def ideas(*recipes: dict[str, str]) -> list[Event]:
    return [event("alternate", part="alternates", option=recipe) for recipe in recipes]


def end(status: str = "ok", message: str | None = None, **fields: Any) -> Event:
    return event("end", status=status, total_ms=2300, message=message, **{"at_ms": 2300, **fields})


STARTED = [run_begins()]
PICK = [run_begins(), proposed()]
INGREDIENTS = written("ingredients", "- 300 g beef flank\n- 2 onions\n")
STEPS = written("steps", "1. Slice the beef.\n2. Sear it.\n")
OTHERS = [
    start("alternates"),
    *ideas(*RECIPES[1:]),
    stop("alternates"),
    *written("intro", "From the pan.\nTo the plate."),
    *written("nutrition", "- Onions: fibre.\n"),
    *STEPS,
]
SIDES = written("sides", "- Rice: it soaks up the juices.\n")
WHOLE = [*PICK, *INGREDIENTS, *OTHERS, *SIDES, end()]
BUSY = "The provider is busy: try again in a minute."
SIDES_FAILED: list[Move] = [*PICK, *INGREDIENTS, *OTHERS, start("sides"), stop("sides", "failed", BUSY), end("partial")]
NO_DISH = [
    *STARTED,
    *written("nutrition", "- Onions: fibre.\n"),
    start("alternates"),
    *(
        stop(part, "failed", "No model could be reached.")
        for part in ("alternates", *CHOSEN_PARTS)
        if part != "nutrition"
    ),
    end("failed", "No model could be reached."),
]


OWNERS = ("DELETE run", "POST part")


@dataclass
class FakeRun:
    """A run whose events follow a script. The server cuts connections and forgets runs."""

    script: list[Move]
    request: dict[str, Any] = field(default_factory=dict[str, Any])
    events: list[Event] = field(default_factory=list[Event])
    epoch: int = 1
    cuts: int = 0
    task: asyncio.Task[None] | None = None

    @property
    def ended(self) -> bool:
        return bool(self.events) and self.events[-1].name == "end"

    def play(self) -> None:
        self.task = asyncio.create_task(self._play())

    async def _play(self) -> None:
        for move in self.script:
            match move:
                case Gate():
                    await move.passed()
                case Cut():
                    self.cuts += 1
                case TakeOver():
                    self.epoch += 1
                case event:
                    self.events.append(event)

    def cancel(self) -> None:
        if not self.ended:
            assert self.task
            self.task.cancel()
            self.events.append(end("cancelled"))

    def write_again(self, script: list[Move]) -> None:
        if self.ended:
            self.events.pop()
            self.epoch += 1
            self.script = script
            self.play()

    def after(self, last_event_id: str | None) -> int:
        """How many events a reader with this id has read."""
        epoch, _, number = (last_event_id or "e0-0").partition("-")
        length = len(self.events) - self.ended if int(epoch[1:]) < self.epoch else len(self.events)
        return min(int(number), length)

    async def follow(self, after: int) -> AsyncIterator[str]:
        cuts = self.cuts
        yield "retry: 200\n\n"
        while True:
            while after < len(self.events):
                after += 1
                await asyncio.sleep(0.004)  # each is sent by itself, so that a replay takes several frames
                yield self.events[after - 1].frame(self.epoch, after)
            if self.ended and after == len(self.events):
                return
            if self.cuts != cuts:
                raise ConnectionResetError("as meant by the test")
            await asyncio.sleep(0.002)


class FakeServer:
    """A server without models: each new run plays the next script.

    `refusals` answer the next calls by method and place ("POST /runs", "GET events" …) instead; `calls` has all calls.
    """

    def __init__(self, *scripts: list[Move]) -> None:
        self.scripts = list(scripts)
        self.again: list[list[Move]] = []
        self.runs: dict[str, FakeRun] = {}
        self.keys: dict[str, str] = {}
        self.refusals: dict[str, list[Response | Gate]] = {}
        self.gone: int | None = None
        self.calls: list[tuple[str, dict[str, str], Any]] = []
        self.url = ""

    def app(self) -> Starlette:
        routes = [
            Path("/", self._page),
            Path("/r/{id}", self._page),
            Path("/healthz", self._health),
            Path("/runs", self._order, methods=["POST"]),
            Path("/runs/{id}", self._look, methods=["GET"]),
            Path("/runs/{id}", self._cancel, methods=["DELETE"]),
            Path("/runs/{id}/events", self._follow),
            Path("/runs/{id}/parts/{part}", self._write_again, methods=["POST"]),
        ]
        return Starlette(routes=[*routes, Mount("/static", StaticFiles(directory=WEB))])

    def made(self, name: str) -> list[Any]:
        """The bodies of all calls of this name."""
        return [body for called, _, body in self.calls if called == name]

    async def _page(self, request: Request) -> Response:
        page = composition_page(place_of(RECIPE).page, describe(RECIPE).model_dump_json())
        return page_response(page, request.scope, headers=PAGE_HEADERS)

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"status": "ok", "standin": False})

    async def _order(self, request: Request) -> Response:
        if refusal := await self._refusal("POST /runs", request):
            return refusal
        key = request.headers["idempotency-key"]
        if key not in self.keys:
            run_id = self.keys[key] = f"run-{len(self.runs) + 1}"
            script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
            self.runs[run_id] = FakeRun(script, await request.json())
            self.runs[run_id].play()
        own = {"run_id": self.keys[key], "key": f"key-of-{self.keys[key]}"}
        return JSONResponse(own, 201, {"Location": f"/runs/{self.keys[key]}"})

    async def _look(self, request: Request) -> Response:
        if refusal := await self._refusal("GET run", request):
            return refusal
        run = self.runs[request.path_params["id"]]
        status = run.events[-1].fields["status"] if run.ended else "running"
        return JSONResponse({"status": status, "last_event_id": f"e{run.epoch}-{len(run.events)}"})

    async def _cancel(self, request: Request) -> Response:
        if refusal := await self._refusal("DELETE run", request):
            return refusal
        self.runs[request.path_params["id"]].cancel()
        return Response(status_code=204)

    async def _follow(self, request: Request) -> Response:
        if refusal := await self._refusal("GET events", request):
            return refusal
        run = self.runs[request.path_params["id"]]
        after = run.after(request.headers.get("last-event-id"))
        if run.ended and after == len(run.events):
            return Response(status_code=204)
        return StreamingResponse(run.follow(after), media_type="text/event-stream")

    async def _write_again(self, request: Request) -> Response:
        if refusal := await self._refusal("POST part", request):
            return refusal
        run, part = self.runs[request.path_params["id"]], request.path_params["part"]
        attempt = 1 + sum(event.name == "part_start" and event.fields["part"] == part for event in run.events)
        run.write_again(self.again.pop(0) if self.again else [])
        return JSONResponse({"run_id": request.path_params["id"], "part": part, "attempt": attempt}, 202)

    async def _refusal(self, name: str, request: Request) -> Response | None:
        body = await request.body()
        self.calls.append((name, dict(request.headers), json.loads(body) if body else request.path_params))
        match self.refusals.get(name):
            case [Gate() as gate, *_]:
                self.refusals[name].pop(0)
                await gate.passed()
            case [Response() as refusal, *_]:
                self.refusals[name].pop(0)
                return refusal
            case _:
                pass
        if name in OWNERS and request.headers["sizzle-run-key"] != f"key-of-{request.path_params['id']}":
            return JSONResponse({"detail": "Only its owner can."}, 403)
        if name != "POST /runs" and (self.gone or request.path_params["id"] not in self.runs):
            return JSONResponse({"detail": "in the server's words"}, self.gone or 404)
        return None


def ask(page: Page, ingredients: str = "beef flank, onions") -> None:
    page.locator("textarea").fill(ingredients)
    page.locator("#generate").click()


def panel(page: Page, part: str) -> Locator:
    return page.locator(f".panel[data-part={part}]")


def body(page: Page, part: str) -> Locator:
    return panel(page, part).locator(".body")


def state(page: Page, part: str) -> Locator:
    return panel(page, part).locator(".state")


def status(page: Page) -> Locator:
    return page.get_by_role("status")


def title(page: Page) -> Locator:
    return page.get_by_role("heading", level=2)


def axe_violations(page: Page) -> list[str]:
    """What axe finds on the page in both colour schemes."""
    reports: list[Any] = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        reports.append(Axe().run(page))
    return [report.generate_report() for report in reports if report.violations_count]
