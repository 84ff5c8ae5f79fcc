"""Conversations with OpenAI's client about a composition other than the recipe."""

import json
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.conftest import ServeScripts
from tests.servers import Provider

FIRST = "food markets, hiking; 4 days"


def converse(url: str, *texts: str) -> str:
    messages: list[Any] = [{"role": "user", "content": text} for text in texts]
    with OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0, timeout=20) as client:
        return client.chat.completions.create(model="trip", messages=messages).choices[0].message.content or ""


def last_request(provider: Provider) -> tuple[str, str]:
    """The interests and the days in the last prompt for the packing list."""
    prompts = [call["body"]["messages"][-1]["content"] for call in provider.calls if call["step"] == "packing"]
    _, _, rest = prompts[-1].partition("<interests>\n")
    interests, _, rest = rest.partition("\n</interests>\n<days>")
    return interests, rest.partition("</days>")[0]


@pytest.mark.parametrize(
    ("texts", "interests", "days"),
    [
        ([FIRST], FIRST, "4"),
        ([FIRST, "make it 6 days"], FIRST, "6"),
        ([FIRST, "thanks!", "for 6 days please"], FIRST, "6"),
        ([FIRST, '{"days": 6}'], FIRST, "6"),
        ([FIRST, "without museums"], f"{FIRST}, without museums", "4"),
        ([FIRST, "add old castles"], f"{FIRST}, old castles", "4"),
        ([FIRST, "swimming instead of hiking"], f"{FIRST}, swimming, without hiking", "4"),
        ([FIRST, "make it cheaper", "6 days"], f"{FIRST}, cheaper", "6"),
        ([FIRST, "박물관 빼고"], f"{FIRST}, 박물관 빼고", "4"),
        ([FIRST, "something else please"], FIRST, "4"),
        ([FIRST, "make the trip cheaper"], f"{FIRST}, cheaper", "4"),
        ([FIRST, "이 여행을 더 짧게"], f"{FIRST}, 더 짧게", "4"),
        ([FIRST, "another trip please"], FIRST, "4"),
        ([FIRST, "make the dish hotter"], "make the dish hotter", "3"),  # a recipe's word
        ([FIRST, "old castles"], "old castles", "3"),
        ([FIRST, '{"interests": "old castles"}'], "old castles", "3"),
        (['{"interests": "old castles", "days": 2}', "a 5-day trip for two"], "a 5-day trip for two", "5"),
    ],
)
def test_a_change_is_combined_with_the_request_before(
    serve_scripts: ServeScripts, texts: list[str], interests: str, days: str
) -> None:
    url, provider = serve_scripts(compositions="examples.trip:TRIP")
    assert "## Budget" in converse(url, *texts).replace("예산", "Budget")
    assert last_request(provider) == (interests, days)


@pytest.mark.parametrize(
    ("texts", "answer"),
    [
        (["hello"], "Hello! Write a message and I answer with “A trip”. What the trip is for"),
        (["안녕하세요"], "안녕하세요! 메시지를 보내 주시면 “여행”"),
        ([FIRST, "How long is the flight?"], "I write one answer for each message"),
    ],
)
def test_a_message_that_is_not_a_request_is_answered_without_a_call(
    serve_scripts: ServeScripts, texts: list[str], answer: str
) -> None:
    url, provider = serve_scripts(compositions="examples.trip:TRIP")
    assert converse(url, *texts).startswith(answer)
    assert provider.calls == []


@pytest.mark.parametrize(("texts", "field"), [([FIRST, "for 99 days"], "days"), (['{"days": 2}'], "interests")])
def test_an_invalid_message_is_refused_with_the_field(
    serve_scripts: ServeScripts, texts: list[str], field: str
) -> None:
    url, provider = serve_scripts(compositions="examples.trip:TRIP")
    with pytest.raises(openai.BadRequestError, match=f"{field}: "):
        converse(url, *texts)
    assert provider.calls == []


def open_webui(words: str, output: str, user: str) -> str:
    """A task with its chat history, as Open WebUI sends it."""
    history = f"<chat_history>\nUSER: {user}\n\nASSISTANT: # Answer\n</chat_history>"
    return f"### Task:\n{words}\n### Output:\nJSON format: {output}\n### Chat History:\n{history}"


KOREAN = "재래시장, 등산"
MORE = ["more about “About this trip”", "more about “Route”"]
TASKS: list[tuple[list[str], str | dict[str, object]]] = [
    ([open_webui("Generate a title.", '{ "title": "" }', FIRST)], {"title": "💬 Food markets, hiking, 4 days"}),
    ([open_webui("Generate a title.", '{ "title": "" }', "hello")], {"title": "💬 A trip"}),
    ([open_webui("Generate tags.", '{ "tags": [""] }', FIRST)], {"tags": ["Trip"]}),
    ([open_webui("Suggest questions.", '{ "follow_ups": [""] }', FIRST)], {"follow_ups": ["5 days", *MORE]}),
    ([open_webui("Suggest questions.", '{ "follow_ups": [""] }', "hiking; 40 days")], {"follow_ups": []}),
    ([open_webui("Suggest questions.", '{ "follow_ups": [""] }', "hiking; 14 days")],
     {"follow_ups": ["13 days", *MORE]}),
    ([open_webui("Describe an image.", '{ "prompt": "" }', "castles")],
     {"prompt": "A photograph that illustrates “castles”, in daylight."}),
    ([open_webui("Generate a title.", '{ "title": "" }', KOREAN)], {"title": "💬 재래시장, 등산"}),
    ([open_webui("Generate tags.", '{ "tags": [""] }', KOREAN)], {"tags": ["여행"]}),
    ([open_webui("Suggest questions.", '{ "follow_ups": [""] }', KOREAN)],
     {"follow_ups": ["더 자세한 “여행지 소개”", "더 자세한 “경로”", "더 자세한 “하루하루”"]}),
    ([FIRST, "Reply with a title for the chat."], "Food markets, hiking, 4 days"),
    ([FIRST, "Suggest three follow-up questions."], "\n".join(["5 days", *MORE])),
    ([FIRST, "Pick a fitting emoji for it."], "💬"),
    (["castles", "Summarize the discussion."], "The user asked for “A trip”: castles."),
    ([KOREAN, "대화를 요약: summarize the chat."], "사용자가 “여행”을(를) 요청했어요: 재래시장, 등산."),
]  # fmt: skip


def test_a_task_of_a_front_end_is_answered_from_the_fields_and_parts(serve_scripts: ServeScripts) -> None:
    url, provider = serve_scripts(compositions="examples.trip:TRIP")
    for texts, answer in TASKS:
        text = converse(url, *texts)
        assert (json.loads(text) if isinstance(answer, dict) else text) == answer
    assert provider.calls == []


def test_a_follow_up_changes_the_request_before(serve_scripts: ServeScripts) -> None:
    url, provider = serve_scripts(compositions="examples.trip:TRIP")
    for follow_up, interests, days in (
        ("5 days", FIRST, "5"),
        (MORE[0], f"{FIRST}, {MORE[0]}", "4"),
        ("더 자세한 “경로”", f"{FIRST}, 더 자세한 “경로”", "4"),
    ):
        converse(url, FIRST, follow_up)
        assert last_request(provider) == (interests, days)
