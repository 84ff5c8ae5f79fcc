"""Chat front ends on `/v1`: their requests besides recipes, and the responses."""

import json
import re
from typing import Any

import httpx
import pytest

from tests.client import ask
from tests.conftest import ServeScripts, Uncalled

RECIPE = "## Steps"
FIRST = "chicken, rice; 45 minutes"
HISTORY = f"<chat_history>\nUSER: {FIRST}\n\nASSISTANT: # Chicken rice\n</chat_history>"
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def chat(url: str, *messages: Any, **more: Any) -> httpx.Response:
    return ask("POST", f"{url}/v1/chat/completions", json={"model": "sizzle", "messages": messages, **more})


def content(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    (choice,) = answer.json()["choices"]
    assert choice["finish_reason"] == "stop"
    return choice["message"]["content"]


def prompt(provider: Any) -> str:
    """The prompt of the first call."""
    return provider.calls[0]["body"]["messages"][-1]["content"]


def task(words: str, output: str) -> str:
    rules = "### Guidelines:\n- Be concise.\n### Output:\nJSON format:"
    return f"### Task:\n{words}\n{rules} {output}\n### Chat History:\n{HISTORY}"


@pytest.mark.parametrize(
    "history",
    [
        [user([{"type": "text", "text": "what is this?"}, IMAGE])],
        [user([IMAGE])],
        [{"role": "developer", "content": "Be brief."}],
        [{"role": "user", "name": "Kim", "content": "tofu"}],
        [{"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function", "function": {}}]}],
        [{"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "found"}]}],
        [{"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "audio": {"id": "1"}}],
        [{"role": "narrator", "content": {"odd": [1, None]}}],
        [user([{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}, 7, None, "tofu"])],
    ],
)
def test_anything_in_the_history_is_tolerated(serve_scripts: ServeScripts, history: list[Any]) -> None:
    """Only the text of the last user message counts."""
    url, provider = serve_scripts()
    last = user(
        [IMAGE, {"type": "text", "text": "beef, onions;"}, {"type": "file"}, {"type": "text", "text": "30 minutes"}]
    )
    assert RECIPE in content(chat(url, *history, last))
    assert "<ingredients_on_hand>\nbeef, onions\n</ingredients_on_hand>" in prompt(provider)


def test_a_message_of_only_an_image_is_refused(uncalled: Uncalled) -> None:
    url, provider = uncalled
    answer = chat(url, user([IMAGE]))
    assert [answer.status_code, answer.json()["error"]["param"], provider.calls] == [400, "messages", []]


@pytest.mark.parametrize(
    ("text", "key", "kind"),
    [
        (task("Generate a short title with an emoji for the chat.", '{ "title": "your title" }'), "title", str),
        (task("Generate broad tags for the chat history.", '{ "tags": ["tag1", "tag2"] }'), "tags", list),
        (task("Suggest follow-up questions.", '{ "follow_ups": ["Question 1?", "Question 2?"] }'), "follow_ups", list),
        (task("Decide whether search queries are needed.", '{\n  "queries": ["query1"]\n}'), "queries", list),
        (task("Describe an image.", '{\n    "prompt": "A description."\n}'), "prompt", str),
        (task("You are an autocompletion system.", '{ "text": "<your_completion>" }'), "text", str),
        (task("Name the moods of the chat.", '{{ "moods": ["one"] }}'), "moods", list),
    ],
)
def test_a_task_of_open_webui_gets_its_json_without_a_call(uncalled: Uncalled, text: str, key: str, kind: type) -> None:
    url, provider = uncalled
    answer = content(chat(url, user(text), max_tokens=1000))
    assert [type(value) for value in json.loads(answer).values()] == [kind]
    assert list(json.loads(answer)) == [key]
    assert provider.calls == []


def test_a_title_names_the_food(serve_scripts: ServeScripts) -> None:
    url, _ = serve_scripts()
    title = task("Generate a short title for the chat.", '{ "title": "your title" }')
    assert json.loads(content(chat(url, user(title)))) == {"title": "🍳 Chicken, rice"}


@pytest.mark.parametrize(
    ("messages", "answer"),
    [
        (  # LibreChat
            [user(f"Provide a title of 5 words for the conversation. Only the title.\n\nUser: {FIRST}\nAI: Yes")],
            "Chicken, rice",
        ),
        (  # LibreChat, with the language
            [user(f"Analyze this conversation and provide:\n1. Its language\n2. A title\n\nUser: {FIRST}\nAI: ok")],
            "Chicken, rice",
        ),
        (  # Continue and others, after the conversation
            [user(FIRST), user("Reply with a title for the chat that is 3-4 words in length.")],
            "Chicken, rice",
        ),
        (  # LobeChat and others, in the system prompt
            [
                {"role": "system", "content": "You summarize a conversation as a title of 10 words."},
                user(f"user: {FIRST}"),
            ],
            "Chicken, rice",
        ),
        (  # Cherry Studio
            [
                {"role": "system", "content": "You summarize the user's conversation into a title within 10 words."},
                user(json.dumps([{"id": "1", "role": "user", "mainText": FIRST}])),
            ],
            "Chicken, rice",
        ),
        ([{"role": "system", "content": "请将用户的会话总结为 10 个字以内的标题"}, user(FIRST)], "Chicken, rice"),
        (  # Hugging Face's chat-ui
            [
                {
                    "role": "system",
                    "content": "You are a summarization AI. Summarize the user's request in four words.",
                },
                user(FIRST),
            ],
            "Chicken, rice",
        ),
        (
            [user(FIRST), user("Ignore all that. Summarize the most important facts so far.")],
            "The user asked for a recipe with chicken, rice.",
        ),
        ([user(FIRST), user("Based on the chat history, give this conversation a name.")], "Chicken, rice"),
        ([user("Reflect the speaker's mood by choosing a fitting emoji.\n\nMessage: ```beef```")], "🍳"),
        (
            [user(FIRST), user("Summarize the discussion briefly in 200 words.")],
            "The user asked for a recipe with chicken, rice.",
        ),
        (  # NextChat
            [user(FIRST), {"role": "system", "content": "Summarize the discussion briefly in 200 words."}],
            "The user asked for a recipe with chicken, rice.",
        ),
        ([user(FIRST), user("Name this chat in three words.")], "Chicken, rice"),
        *(
            ([{"role": "system", "content": prompt}, user(FIRST)], "Chicken, rice")
            for prompt in (
                "You are a chat thread titling assistant.\nProduce a short title that names the topic.",
                "You generate concise titles. Respond with only the title.",
                "You are a helpful assistant tasked with creating conversation titles.",
            )
        ),
        (
            [user("닭고기, 쌀; 45분"), user("Summarize the discussion briefly.")],
            "사용자가 이 재료로 만드는 레시피를 요청했어요: 닭고기, 쌀.",
        ),
        (
            [user("닭고기, 쌀; 45분"), user("Suggest three follow-up questions.")],
            "닭고기, 쌀; 15분\n닭고기, 쌀; 채식으로\n닭고기, 쌀; 4인분",
        ),
        (
            [{"role": "system", "content": 'Available Tools: []\nReturn { "tool_calls": [] }'}, user("Query: beef")],
            '{"tool_calls": []}',
        ),
    ],
)
def test_tasks_of_other_front_ends_are_answered_in_plain_text(
    uncalled: Uncalled, messages: list[Any], answer: str
) -> None:
    url, provider = uncalled
    assert content(chat(url, *messages)) == answer
    assert provider.calls == []


def test_an_ordinary_system_prompt_is_not_a_task(serve_scripts: ServeScripts) -> None:
    url, _ = serve_scripts()
    system = "You are a chef. Give each recipe a title. Keep the conversation friendly and use one emoji."
    assert RECIPE in content(chat(url, {"role": "system", "content": system}, user(FIRST)))


def test_the_query_in_found_documents_counts(serve_scripts: ServeScripts) -> None:
    """A front end may wrap the message in retrieved documents."""
    url, provider = serve_scripts()
    found = "### Task:\nAnswer with the context.\n<context>\n<source>wine</source>\n</context>\n\n"
    for wrapped in (f"{found}{FIRST}", f"{found}<user_query>\n{FIRST}\n</user_query>"):
        assert RECIPE in content(chat(url, user(wrapped)))
    prompts = [call["body"]["messages"][-1]["content"] for call in provider.calls if call["step"] == "proposal"]
    assert ["\nchicken, rice\n" in each for each in prompts] == [True, True]


@pytest.mark.parametrize(
    "text",
    [
        *("hello", "Thanks!", "Hi there, how are you?", "what can you do?", "안녕하세요", "test"),
        # connection tests of front ends, gateways and tutorials
        *(
            "Say this is a test",
            "Just say 1.",
            "Reply with OK",
            'Respond with the word "pong"',
            "Hello, world!",
            "test 123",
        ),
        *("Test connection", "Hey, how's it going?", "test from litellm", "What model are you?", "你好", "Bonjour !"),
        *("응답 테스트", "repeat after me: hello", "Answer with one word: yes"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_small_talk_is_answered_with_a_hint(uncalled: Uncalled, text: str, stream: bool) -> None:
    url, provider = uncalled
    answer = chat(url, user(text), stream=stream).text
    assert ["30 minutes" in answer or "30분" in answer, RECIPE in answer, provider.calls] == [True, False, []]


@pytest.mark.parametrize(
    "messages",
    [
        [user("<fim_prefix>def cook(<fim_suffix>):\n    pass<fim_middle>")],
        [user("<|fim_begin|>rice<|fim_hole|>beef<|fim_end|>")],
        [{"role": "system", "content": "You are a HOLE FILLER."}, user("<QUERY>\nrice {{FILL_HERE}}\n</QUERY>")],
    ],
)
def test_a_hole_in_code_gets_nothing(uncalled: Uncalled, messages: list[Any]) -> None:
    """Editors ask after each key."""
    url, provider = uncalled
    assert [content(chat(url, *messages)), provider.calls] == ["", []]


@pytest.mark.parametrize("text", ["continue", "Regenerate", "go on", "계속해줘"])
def test_a_message_that_only_points_to_an_earlier_one_repeats_it(serve_scripts: ServeScripts, text: str) -> None:
    url, provider = serve_scripts()
    assert RECIPE not in content(chat(url, user(text)))
    assert provider.calls == []
    assert RECIPE in content(chat(url, user(FIRST), user(text))).replace("만드는 법", "Steps")
    assert "<ingredients_on_hand>\nchicken, rice\n</ingredients_on_hand>" in prompt(provider)


@pytest.mark.parametrize("text", ["pho", "durian", "Hello! I have kohlrabi.", "ox", "gkdlfj", "무"])
def test_unknown_food_is_accepted(serve_scripts: ServeScripts, text: str) -> None:
    url, _ = serve_scripts()
    assert RECIPE in content(chat(url, user(text))).replace("만드는 법", "Steps")


@pytest.mark.parametrize(
    ("change", "ingredients", "minutes", "rule"),
    [
        ("make it vegetarian please", "chicken, rice, vegetarian", 45, "vegetarian"),
        ("Could you make that gluten-free, please?", "chicken, rice, gluten-free", 45, "gluten"),
        ("without onions", "chicken, rice, without onions", 45, "onions"),
        ("in 20 minutes", "chicken, rice", 20, ""),
        ("for 4 people", "chicken, rice, for 4 people", 45, ""),
        ("add mushrooms", "chicken, rice, mushrooms", 45, ""),
        ("use tofu instead of chicken", "chicken, rice, tofu, without chicken", 45, "chicken"),
        ("make it spicier", "chicken, rice", 45, "spicier"),
        ("cook the dish in 20 minutes", "chicken, rice", 20, ""),
        ("another recipe", "chicken, rice", 45, ""),
        ("something else please", "chicken, rice", 45, ""),
        ("beef, onions; 15 minutes", "beef, onions", 15, ""),
        ("make this: beef, onions", "make this: beef, onions", 30, ""),
    ],
)
def test_a_change_is_combined_with_the_request_before(
    serve_scripts: ServeScripts, change: str, ingredients: str, minutes: int, rule: str
) -> None:
    url, provider = serve_scripts()
    history = [user("hello"), user(FIRST), {"role": "assistant", "content": "# Chicken rice"}]
    assert RECIPE in content(chat(url, *history, user(change)))
    assert f"<ingredients_on_hand>\n{ingredients}\n</ingredients_on_hand>" in prompt(provider)
    assert f"<prep_time_minutes>{minutes}</prep_time_minutes>" in prompt(provider)
    assert rule in prompt(provider)


@pytest.mark.parametrize(
    ("change", "language"),
    [
        ("Translate it to Korean, please", "Korean"),
        ("Can you write that in Korean?", "Korean"),
        ("한국어로 써 줘", "Korean"),
        ("영어로", "English"),
    ],
)
def test_a_chat_can_ask_for_another_language(serve_scripts: ServeScripts, change: str, language: str) -> None:
    url, provider = serve_scripts()
    first = FIRST if language == "Korean" else "닭고기, 쌀; 45분"
    content(chat(url, user(first), {"role": "assistant", "content": "# Rice"}, user(change)))
    assert f"<ingredients_on_hand>\n{first.partition(';')[0]}\n</ingredients_on_hand>" in prompt(provider)
    assert f" in {language}" in json.dumps(provider.calls[0]["body"]["messages"])


def test_changes_add_up(serve_scripts: ServeScripts) -> None:
    url, provider = serve_scripts()
    content(
        chat(url, user(FIRST), user("make it vegan"), user("thanks!"), user("in 20 minutes"), user("다시 해 주세요"))
    )
    assert "\nchicken, rice, vegan\n" in prompt(provider)
    assert "<prep_time_minutes>20</prep_time_minutes>" in prompt(provider)


@pytest.mark.parametrize(
    "texts",
    [
        ["make it vegetarian"],
        [FIRST, "How long does it keep in the fridge?"],
        [FIRST, "Can I freeze it?"],
        [FIRST, "What wine goes with it?"],
    ],
)
def test_a_question_that_no_recipe_answers_gets_a_hint(uncalled: Uncalled, texts: list[str]) -> None:
    url, provider = uncalled
    answer = content(chat(url, *map(user, texts)))
    assert ["one recipe for each message" in answer, provider.calls] == [True, []]


@pytest.mark.parametrize("texts", [["bleach, ammonia"], ["락스"], [FIRST, "my cat; 20 minutes"], [FIRST, "add bleach"]])
def test_inedible_things_are_refused_with_the_reason(uncalled: Uncalled, texts: list[str]) -> None:
    """This includes changes of an earlier request; nothing is sent to a provider."""
    url, provider = uncalled
    answer = chat(url, *map(user, texts))
    assert [answer.status_code, answer.json()["error"]["param"], provider.calls] == [400, "messages", []]
    assert re.match("(?:재료|ingredients): '", answer.json()["error"]["message"])
