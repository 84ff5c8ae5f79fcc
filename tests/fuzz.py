"""Mutated requests to a real server, by a seed. By hand: `python -m tests.fuzz 30000`."""

import json
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import cpu_count, get_context
from random import Random
from typing import Any

import httpx

from app.main import create_app
from tests.servers import serving, settings_from

BATCH = 1000
CANARY = "sk-canary-77123"
INTENDED = (502, 503)  # no provider answers, and only a few runs are allowed
GOOD = {"ingredientsOnHand": "beef, onions", "prepTime": 30}
BODIES: list[tuple[str, Any]] = [
    ("/runs", GOOD),
    ("/generate", GOOD),
    ("/examples/broadcasts", {"query": "x"}),
    ("/v1/chat/completions", {"model": "sizzle", "messages": [{"role": "user", "content": "beef, onions"}]}),
    ("/chains/recipe/batch", {"inputs": [GOOD, GOOD], "config": {"configurable": {"model": "as set"}}}),
    *((f"/chains/{name}/{way}", {"input": GOOD, "config": {}})
      for name in ("recipe", "steps") for way in ("invoke", "stream", "stream_log")),
]  # fmt: skip
PATHS = [
    *("/", "/healthz", "/runs/x", "/runs/x/events", "/completion?query=x", "/schema/events.json", "/docs", "/r/x"),
    *("/static/style.css", "/chains/recipe/playground/", "/chains/steps/input_schema", "/v1/models/a/b", "/nothing"),
    *("/examples/broadcasts/x", "/examples/fetch"),
]
PARTS_OF_PATHS = [
    "%00",
    "%ff",
    "/../",
    "//",
    "x" * 300,
    "%2e%2e/",
    "?a=%00",
    "%",
    "c/N4Ig/",
    "&max_tokens=-1",
    "&after=-1",
]
PARTS_OF_BODIES = [b"\xff", b"", b"NaN", b"[" * 1200, b"\0", b'"']
METHODS = ["GET", "GET", "GET", "HEAD", "OPTIONS", "POST", "DELETE", "PUT", "TRACE"]
HEADERS = ["Last-Event-ID", "Idempotency-Key", "Accept", "Origin", "Sec-Fetch-Site", "Content-Type", "Range", "Host"]
VALUES = ["", "x", "0-0", b"\xe9", "a" * 5000, "http://[", "null", "text/html", "bytes=0-1,5-", "*", "a-" + "9" * 30]
ODD: list[Any] = [
    *(None, True, -1, 0, 1.5, 1e308, 10**25, "", "x", "\ud800", "\0", "İ " * 50, "9" * 4400, "45"),
    *([], {}, [[]], {"a": 1}, ["x"] * 30, {"configurable": {"model": "x"}}, [GOOD]),
]
KEYS = ["x", "\ud800", "seed", "language", "recipe", "servings", "diet", "avoid", "config", ""]


@dataclass
class Findings:
    """Counts the responses by status, and collects the wrong ones, and the slow ones that called no provider."""

    statuses: Counter[int] = field(default_factory=Counter[int])
    faults: list[str] = field(default_factory=list[str])
    slow: list[str] = field(default_factory=list[str])


def mutated(value: Any, random: Random) -> Any:
    if isinstance(value, dict) and value and random.random() < 0.8:
        key = random.choice(list(value))
        return {**value, key: mutated(value[key], random)} if random.random() < 0.7 else {
            **value, random.choice(KEYS): random.choice(ODD)
        }  # fmt: skip
    if isinstance(value, list) and value and random.random() < 0.7:
        return [mutated(one, random) for one in value]
    return random.choice(ODD)


def inserted(text: Any, parts: list[Any], random: Random) -> Any:
    place = random.randrange(len(text) + 1)
    return text[:place] + random.choice(parts) + text[place:]


def request(client: httpx.Client, random: Random) -> httpx.Request:
    headers: dict[str, Any] = {"Content-Type": "application/json"}
    if random.random() < 0.4:
        headers[random.choice(HEADERS)] = random.choice(VALUES)
    if random.random() < 0.5:
        path, body = random.choice(BODIES)
        content = json.dumps(mutated(body, random)).encode()
        content = inserted(content, PARTS_OF_BODIES, random) if random.random() < 0.2 else content
        return client.build_request("POST", path, content=content, headers=headers)
    path = random.choice(PATHS)
    path = "/" + inserted(path, PARTS_OF_PATHS, random).lstrip("/") if random.random() < 0.5 else path
    return client.build_request(random.choice(METHODS), path, headers=headers)


def fuzz(count: int, seed: int = 1) -> Findings:
    """Sends this many requests to a server whose provider has a key and is unreachable."""
    random, findings = Random(seed), Findings()
    settings = settings_from(
        standin_ttft_ms=0, standin_tokens_per_s=0, fireworks_api_key=CANARY, fireworks_base_url="http://127.0.0.1:9/v1"
    )
    with serving(create_app(settings)) as url, httpx.Client(base_url=url, timeout=30) as client:
        for _ in range(count):
            sent = request(client, random)
            began = time.monotonic()
            try:
                answer = client.send(sent)
            except httpx.LocalProtocolError:  # the client refuses to send it
                continue
            findings.statuses[answer.status_code] += 1
            line = f"{answer.status_code} {sent.method} {sent.url} {sent.content[:300]!r}"
            if (answer.status_code >= 500 and answer.status_code not in INTENDED) or CANARY in answer.text:
                findings.faults.append(line)
            has_called = sent.method == "POST" and answer.status_code in (200, 502)  # and tried again, after a delay
            if time.monotonic() - began > 1 and not has_called:
                findings.slow.append(line)
    return findings


def main(count: int) -> None:
    """Sends the requests in batches, each to a server of its own, and prints what was found so far."""
    found, batches = Findings(), range(1, -(-count // BATCH) + 1)
    with ProcessPoolExecutor(cpu_count(), get_context("spawn")) as pool:
        for number, each in enumerate(pool.map(partial(fuzz, BATCH), batches), 1):
            found.statuses += each.statuses
            found.faults += each.faults
            found.slow += each.slow
            lines = [f"{number * BATCH:,} sent: {dict(found.statuses)}", *each.faults, *each.slow]
            print(*lines, sep="\n", flush=True)  # noqa: T201
    print(f"{len(found.faults)} faults, {len(found.slow)} slower than a second")  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]))
