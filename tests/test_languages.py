"""Messages are in the language of the request."""

import re
from typing import Any

import httpx
import pytest

from tests.client import ask, events_named, read, start
from tests.conftest import ServeScripts, Uncalled
from tests.servers import Finish, Gate, Refuse, Script

KOREAN = {"ingredientsOnHand": "소고기, 양파", "language": "ko"}
ACCEPTS_KOREAN = {"Accept-Language": "ko-KR,ko;q=0.9,en;q=0.8"}


def is_korean(message: str) -> bool:
    return bool(re.search("[가-힣]", message)) and not re.search(r"\b(the|is|try|should|valid)\b", message)


def finished(url: str, request: dict[str, Any]) -> dict[str, Any]:
    """The state of a finished run."""
    run_id = ask("POST", f"{url}/runs", json=request).json()["run_id"]
    with httpx.stream("GET", f"{url}/runs/{run_id}/events") as events:
        assert b"event: end" in b"".join(events.iter_raw())
    return ask("GET", f"{url}/runs/{run_id}", headers={"Accept-Language": "en"}).json()


def test_the_failures_of_a_run_are_in_its_language(serve_scripts: ServeScripts) -> None:
    """This covers `POST /generate`, the run stream and the state of the run."""
    scripts: dict[str, Script | list[Script]] = {
        "ingredients": [Refuse(401)],
        "intro": ["Half", Finish("length")],
        "nutrition": ["Half", Finish("content_filter")],
        "sides": [Finish("stop")],
    }
    url, _ = serve_scripts(scripts)
    parts = finished(url, KOREAN)["parts"]
    assert (
        parts["ingredients"]["message"]
        == "Groq: API 키가 거절됐어요(401). 설정에서 이 제공자의 API 키를 확인해 주세요."
    )
    assert parts["steps"]["message"] == "‘재료’ 부분을 쓰지 못해서 이 부분도 쓸 수 없었어요."
    assert parts["intro"]["message"] == "정해 둔 토큰 한도에서 끊겼어요."
    assert parts["nutrition"]["message"] == "제공자의 콘텐츠 필터가 답을 끊었어요."
    assert parts["sides"]["message"] == "Groq: 빈 답이 왔어요. 다시 시도해 주세요."
    errors = [error["message"] for error in events_named(read(url, KOREAN), "error")]
    assert len(errors) == 3
    assert all(map(is_korean, errors))


def test_a_run_that_fails_as_a_whole_says_so_in_its_language(serve_scripts: ServeScripts) -> None:
    url, _ = serve_scripts({"proposal": ["I would rather not."], "nutrition": [Refuse(404)]})
    parts = finished(url, KOREAN)["parts"]
    assert all(is_korean(part["message"]) for part in parts.values())
    english = finished(url, {**KOREAN, "language": "en"})["parts"]
    assert not any(re.search("[가-힣]", part["message"]) for part in english.values())


@pytest.mark.parametrize(
    ("body", "headers", "korean"),
    [
        ({"ingredientsOnHand": "1", "language": "ko"}, {}, True),
        ({"ingredientsOnHand": "1", "language": "ko"}, {"Accept-Language": "en"}, True),
        ({"ingredientsOnHand": "1", "language": "en"}, ACCEPTS_KOREAN, False),
        ({"ingredientsOnHand": "1", "language": "fr"}, ACCEPTS_KOREAN, True),
        ({"ingredientsOnHand": "1", "language": ["ko"]}, {}, False),
        ({"ingredientsOnHand": "1"}, ACCEPTS_KOREAN, True),
        ({"ingredientsOnHand": "1"}, {"Accept-Language": "en-US, ko;q=0.5"}, False),
        ({"ingredientsOnHand": "1"}, {"Accept-Language": "fr, ko;q=0.5, en;q=0.1"}, True),
        ({"ingredientsOnHand": "1"}, {"Accept-Language": "ko;q=0, *"}, False),
        ({"ingredientsOnHand": "1"}, {"Accept-Language": "ko;q=much"}, False),
        ({"ingredientsOnHand": "12345", "prepTime": 1, "seed": -1, "much": 1, "language": "ko"}, {}, True),
        ({"ingredientsOnHand": 5, "prepTime": "soon", "seed": 1.5, "language": "ko"}, {}, True),
        ([], ACCEPTS_KOREAN, True),
    ],
)
@pytest.mark.parametrize("path", ["/generate", "/runs"])
def test_a_422_is_in_the_language_of_the_request(
    sizzle_url: str, path: str, body: Any, headers: dict[str, str], korean: bool
) -> None:
    """It is the body's language, otherwise the browser's, otherwise English."""
    answer = ask("POST", f"{sizzle_url}{path}", json=body, headers=headers)
    assert answer.status_code == 422
    for problem in answer.json()["detail"]:
        assert is_korean(problem["message"]) is korean
        # for an unknown field the expected value is the list of known names
        assert is_korean(problem["expected"]) is korean


def test_an_unreadable_body_is_refused_in_the_browsers_language(sizzle_url: str) -> None:
    headers = {**ACCEPTS_KOREAN, "Content-Type": "application/json"}
    for body in (b"{", b"", b"null", b'"\xff"'):
        problems = ask("POST", f"{sizzle_url}/runs", content=body, headers=headers).json()["detail"]
        assert [is_korean(problem["message"]) for problem in problems] == [True] * len(problems)
        assert problems


NOWHERE = "/runs/00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("method", "path", "status", "options"),
    [
        ("GET", NOWHERE, 404, {}),
        ("DELETE", NOWHERE, 404, {}),
        ("GET", f"{NOWHERE}/events", 404, {}),
        ("POST", f"{NOWHERE}/parts/intro", 404, {}),
        ("POST", f"{NOWHERE}/parts/dessert", 404, {}),
        ("POST", "/runs", 422, {"json": {"ingredientsOnHand": "beef"}, "headers": {"Idempotency-Key": "a b"}}),
        ("GET", "/nowhere", 404, {}),
        ("PUT", "/runs", 405, {}),
        ("GET", "/completion", 422, {}),
        ("GET", "/completion?query=a&model=none", 422, {}),
        ("GET", "/completion?query=a&max_tokens=999999", 422, {}),
        ("GET", "/completion?query=a&stop=", 422, {}),
        ("POST", "/race", 415, {"content": b"{}"}),
        ("POST", "/runs", 415, {"content": b"{}"}),
        ("POST", "/runs", 413, {"content": b" " * 1_100_000, "headers": {"Content-Type": "application/json"}}),
        ("POST", "/runs", 403, {"json": {}, "headers": {"Origin": "https://other.example"}}),
        ("POST", "/chains/recipe/invoke", 415, {"content": b"{}"}),
        ("GET", "/completion?query=a", 403, {"headers": {"Sec-Fetch-Site": "cross-site"}}),
        ("POST", "/race", 422, {"json": {"rounds": 99}}),
        ("POST", "/race", 422, {"json": {"models": ["none"]}}),
        ("POST", "/race", 422, {"json": {"models": []}}),
        ("POST", "/examples/broadcasts", 422, {"json": {"query": ""}}),
        ("GET", "/examples/broadcasts/none", 404, {}),
    ],
)
def test_a_refusal_is_in_the_browsers_language(
    sizzle_url: str, method: str, path: str, status: int, options: dict[str, Any]
) -> None:
    """This applies if the body does not name a language."""

    def refused(headers: dict[str, str]) -> list[str]:
        sent = {**options, "headers": {**options.get("headers", {}), **headers}}
        answer = httpx.request(method, f"{sizzle_url}{path}", **sent)
        assert answer.status_code == status
        detail = answer.json()["detail"]
        return [detail] if isinstance(detail, str) else [problem["message"] for problem in detail]

    assert all(map(is_korean, refused(ACCEPTS_KOREAN)))
    assert not any(re.search("[가-힣]", message) for message in refused({}))


def test_too_many_runs_are_refused_in_the_language_of_the_body(serve_scripts: ServeScripts) -> None:
    url, _ = serve_scripts({"proposal": [Gate()]}, max_runs=1)
    ask("POST", f"{url}/runs", json=KOREAN)
    for path in ("/runs", "/generate"):
        answer = ask("POST", f"{url}{path}", json=KOREAN)
        assert answer.status_code == 503
        assert is_korean(answer.json()["detail"])


def test_a_completion_that_fails_says_so_in_the_browsers_language(serve_scripts: ServeScripts) -> None:
    url, _ = serve_scripts({"completion": [Refuse(402)]})
    whole = ask("GET", f"{url}/completion?query=hi", headers=ACCEPTS_KOREAN)
    assert is_korean(whole.json()["detail"])
    stream = ask("GET", f"{url}/completion?query=hi", headers={**ACCEPTS_KOREAN, "Accept": "text/event-stream"})
    assert "결제가 필요해요(402)" in stream.text


def test_a_chat_in_korean_is_refused_in_korean(serve_scripts: ServeScripts) -> None:
    """The language is that of the user's message."""
    url, _ = serve_scripts({"proposal": [Refuse(401)], "nutrition": [Refuse(401)]})

    def message(text: str) -> str:
        body = {"model": "sizzle", "messages": [{"role": "user", "content": text}]}
        return ask("POST", f"{url}/v1/chat/completions", json=body).json()["error"]["message"]

    assert is_korean(message("소고기, 양파"))
    assert "시간: " in message("소고기, 양파; 999분")
    assert is_korean(message("소고기, 양파; 999분"))
    assert not re.search("[가-힣]", message("beef, onions; 999 minutes"))


def test_the_hint_for_a_question_is_in_its_language(uncalled: Uncalled) -> None:
    """If the text has no letters, the client's header decides."""
    url, provider = uncalled

    def answer(*texts: str) -> Any:
        body = {"model": "sizzle", "messages": [{"role": "user", "content": text} for text in texts]}
        return ask("POST", f"{url}/v1/chat/completions", json=body, headers=ACCEPTS_KOREAN).json()

    for texts in (["채식으로 바꿔줘"], ["소고기, 양파", "왜 이렇게 짜요?"], ["안녕하세요"]):
        assert is_korean(answer(*texts)["choices"][0]["message"]["content"])
    for texts in (["make it vegetarian"], ["beef", "How long does it keep?"], ["hello"]):
        assert not re.search("[가-힣]", answer(*texts)["choices"][0]["message"]["content"])
    assert is_korean(answer("👋")["error"]["message"])
    assert provider.calls == []


def test_a_wrong_event_id_is_refused_in_the_browsers_language(sizzle_url: str) -> None:
    answer = ask("GET", f"{start(sizzle_url)}/events", headers={"Last-Event-ID": "x", "Accept-Language": "ko"})
    assert answer.status_code == 422
    assert is_korean(answer.json()["detail"][0]["message"])


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/runs/unknown", 404), ("PUT", "/runs", 405)])
def test_caches_keep_a_refusal_for_each_language(sizzle_url: str, method: str, path: str, status: int) -> None:
    answer = ask(method, sizzle_url + path, headers=ACCEPTS_KOREAN)
    assert [answer.status_code, answer.headers.get("vary")] == [status, "Accept-Language, Origin"]
