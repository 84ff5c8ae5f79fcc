"""Tool calls of the stand-in, with OpenAI's own client and LangChain's."""

import json
from typing import Any

import httpx
import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai import BadRequestError, OpenAI
from pydantic import BaseModel, Field, SecretStr

from app.standin import MODEL_ID


def function(name: str, description: str, properties: dict[str, Any], required: list[str] | None = None) -> Any:
    needed = list(properties) if required is None else required
    parameters = {"type": "object", "properties": properties, "required": needed}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


TEXT = {"type": "string"}
SUBSTITUTES = function("find_substitutes", "What can replace a food, and how much of it.", {"food": TEXT})
RECIPE = function(
    "write_recipe", "A whole recipe.", {"ingredients": TEXT, "prep_time": {"type": "integer", "maximum": 240}}
)
WEATHER = function("current_weather", "The weather in a city.", {"city": TEXT})
TOOLS = [WEATHER, SUBSTITUTES, RECIPE]


def ask(client: OpenAI, question: str, tools: list[Any] = TOOLS, **more: Any) -> Any:
    sent: list[Any] = [{"role": "user", "content": question}]
    return client.chat.completions.create(model=MODEL_ID, messages=sent, tools=tools, **more).choices[0]


def called(choice: Any) -> tuple[str, dict[str, Any]]:
    """The name and the arguments of the only call."""
    (call,) = choice.message.tool_calls
    return call.function.name, json.loads(call.function.arguments)


@pytest.mark.parametrize(
    ("question", "name", "arguments"),
    [
        ("What can replace the butter?", "find_substitutes", {"food": "butter"}),
        ("Can I use something instead of eggs and milk?", "find_substitutes", {"food": "eggs, milk"}),
        ("버터 대신 뭘 쓸 수 있나요?", "find_substitutes", {"food": "버터"}),
        (
            "What can I cook with beef and onions in 45 minutes?",
            "write_recipe",
            {"ingredients": "beef, onions", "prep_time": 45},
        ),
        ("A recipe with salmon, I have 6 hours", "write_recipe", {"ingredients": "salmon", "prep_time": 240}),
        ("두부와 김치로 20분 요리 추천해 주세요", "write_recipe", {"ingredients": "두부, 김치", "prep_time": 20}),
        ("How is the weather in Seoul?", "current_weather", {"city": "How is the weather in Seoul?"}),
    ],
)
def test_the_tool_that_fits_the_question_is_called(
    client: OpenAI, question: str, name: str, arguments: dict[str, Any]
) -> None:
    """The tool shares words with the question; the arguments are the question's foods and minutes."""
    choice = ask(client, question)
    assert called(choice) == (name, arguments)
    assert (choice.message.content, choice.finish_reason) == (None, "tool_calls")


@pytest.mark.parametrize(
    ("question", "more"),
    [("How many moons has Jupiter?", {}), ("What can replace the butter?", {"tool_choice": "none"})],
)
def test_a_question_that_no_tool_fits_is_answered_in_text(client: OpenAI, question: str, more: dict[str, Any]) -> None:
    """The answer is text, also if no tool may be called."""
    choice = ask(client, question, **more)
    assert choice.message.tool_calls is None
    assert "rule-based stand-in" in choice.message.content
    assert choice.finish_reason == "stop"


def test_a_chosen_tool_is_called_whether_it_fits_or_not(client: OpenAI) -> None:
    """`required` means any tool, a name means that tool."""
    assert called(ask(client, "Hello!", tool_choice="required"))[0] == "current_weather"
    named = {"type": "function", "function": {"name": "write_recipe"}}
    assert called(ask(client, "What can replace the butter?", tool_choice=named)) == (
        "write_recipe",
        {"ingredients": "butter", "prep_time": 30},
    )


def test_arguments_follow_the_schema(client: OpenAI) -> None:
    """Every kind of JSON Schema is filled in; optional properties that are not in the question are left out."""
    properties = {
        "ingredients": {"type": "array", "items": TEXT},
        "question": TEXT,
        "language": {"enum": ["en", "ko"]},
        "diet": {"type": ["string", "null"], "enum": ["vegan", "omnivore"]},
        "servings": {"type": "integer", "minimum": 1},
        "spicy": {"type": "boolean"},
        "prep_time": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": 60},
        "near": {"type": "object", "properties": {"city": {"$ref": "#/$defs/City"}}, "required": ["city"]},
        "note": TEXT,
        "seed": {"type": "integer"},
    }
    tool = function("cook", "ServeRuns.", properties, ["ingredients", "language", "diet", "servings", "spicy", "near"])
    tool["function"]["parameters"]["$defs"] = {"City": {"type": "string", "default": "Seoul"}}
    question = "Cook something vegan with tofu and rice for 4 people"
    assert called(ask(client, question, [tool])) == (
        "cook",
        {
            "ingredients": ["tofu", "rice"],
            "question": question,
            "language": "en",
            "diet": "vegan",
            "servings": 4,
            "spicy": False,
            "near": {"city": "Seoul"},
            "seed": 4,
        },
    )


@pytest.mark.parametrize(
    ("schema", "filled"),
    [
        (True, "beef, rice"),
        ({"const": 7}, 7),
        ({"type": "null"}, None),
        ({"type": "integer", "minimum": 5}, 5),
        ({"type": "array", "items": {"type": "integer"}}, [4]),
        ({"type": "array", "items": {"enum": ["oven", "rice"]}}, ["rice"]),
    ],
)
def test_a_required_argument_has_the_right_type(client: OpenAI, schema: Any, filled: Any) -> None:
    """Items have the type of the items, integers are whole numbers, and a constant has its value."""
    tool = function("take", "", {"x": schema}, ["x"])
    choice = ask(client, "Cook beef and rice for 4 people", [tool], tool_choice="required")
    assert choice.message.tool_calls[0].function.arguments == json.dumps({"x": filled})


def test_an_agent_that_must_call_reaches_every_tool(client: OpenAI) -> None:
    """With `required` every tool is called once before one is called twice."""
    conversation: list[Any] = [REQUEST]
    names: list[str] = []
    for _ in TOOLS:
        made: Any = client.chat.completions.create(
            model=MODEL_ID, messages=conversation, tools=TOOLS, tool_choice="required"
        ).choices[0]
        call = made.message.tool_calls[0]
        names.append(call.function.name)
        conversation += [made.message.model_dump(), {"role": "tool", "tool_call_id": call.id, "content": "Done."}]
    assert (names[0], sorted(names)) == ("find_substitutes", sorted(tool["function"]["name"] for tool in TOOLS))


def test_a_tool_without_parameters_is_called_with_an_empty_object(client: OpenAI) -> None:
    """The arguments are always a JSON object."""
    tool = {"type": "function", "function": {"name": "list_dishes"}}
    assert called(ask(client, "Which dishes are there?", [tool])) == ("list_dishes", {})


def test_a_call_is_streamed_in_the_shape_of_the_api(base_url: str) -> None:
    """First id, name and empty arguments, then the arguments in pieces, the reason, the usage, and DONE."""
    body = {
        "model": MODEL_ID,
        "messages": [{"role": "user", "content": "What can replace the butter?"}],
        "tools": TOOLS,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    response = httpx.post(f"{base_url}/chat/completions", json=body, headers={"Authorization": "Bearer any"})
    *events, done, rest = response.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    first, *middle, last, usage = (json.loads(event.removeprefix("data: ")) for event in events)
    (call,) = first["choices"][0]["delta"].pop("tool_calls")
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": None}
    assert call.pop("id").startswith("call_")
    assert call == {"index": 0, "type": "function", "function": {"name": "find_substitutes", "arguments": ""}}
    pieces = [chunk["choices"][0]["delta"]["tool_calls"] for chunk in middle]
    assert all(set(piece[0]) == {"index", "function"} for piece in pieces)
    assert json.loads("".join(piece[0]["function"]["arguments"] for piece in pieces)) == {"food": "butter"}
    assert len(pieces) > 2
    assert (last["choices"][0]["delta"], last["choices"][0]["finish_reason"]) == ({}, "tool_calls")
    assert (usage["choices"], usage["usage"]["completion_tokens"]) == ([], len(middle))


def test_results_of_tools_become_the_answer(client: OpenAI) -> None:
    """The text contains the results, as lines if they are JSON, and names the stand-in only once."""
    answer = ask(client, "What can replace the butter?").message
    (call,) = answer.tool_calls
    about = "I am a rule-based stand-in, not a language model: I put recipes together from templates."
    recipes = [{"name": "Flatbread", "intro": "Crisp."}, {"name": "Soup", "intro": "Warm."}]
    for content, passed_on in [
        (f"{about}\n\nTake oil.", "Take oil."),
        (json.dumps(recipes), "- Flatbread: Crisp.\n- Soup: Warm."),
    ]:
        conversation = [
            {"role": "user", "content": "What can replace the butter?"},
            answer.model_dump(),
            {"role": "tool", "tool_call_id": call.id, "content": content},
        ]
        choice = client.chat.completions.create(model=MODEL_ID, messages=conversation, tools=TOOLS).choices[0]
        assert choice.finish_reason == "stop"
        assert choice.message.content == f"{about} This is what the tools brought:\n\n{passed_on}"


def test_after_an_answer_the_next_question_may_call_again(client: OpenAI) -> None:
    """A new question in the same conversation is answered by itself."""
    first = ask(client, "What can replace the butter?").message
    conversation = [
        {"role": "user", "content": "What can replace the butter?"},
        first.model_dump(),
        {"role": "tool", "tool_call_id": first.tool_calls[0].id, "content": "Oil."},
        {"role": "assistant", "content": "Oil."},
        {"role": "user", "content": "And instead of the eggs?"},
    ]
    choice: Any = client.chat.completions.create(model=MODEL_ID, messages=conversation, tools=TOOLS).choices[0]
    assert called(choice) == ("find_substitutes", {"food": "eggs"})
    assert choice.message.tool_calls[0].id != first.tool_calls[0].id


REQUEST = {"role": "user", "content": "What can replace the butter?"}


CALL = {"id": "call_1", "type": "function", "function": {"name": "find_substitutes", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"tools": []}, "tools"),
        ({"tools": "all"}, "tools"),
        ({"tools": [{"type": "retrieval"}]}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"tools": [function("two words", "", {})]}, "tools"),
        ({"tools": [function("x" * 65, "", {})]}, "tools"),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "string"}}}]}, "tools"),
        ({"tools": [function("f", "", {"food": "text"})]}, "tools"),
        ({"tools": None, "tool_choice": "auto"}, "tool_choice"),
        ({"tool_choice": "always"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "unknown"}}}, "tool_choice"),
        ({"messages": [REQUEST, {"role": "tool", "content": "Oil."}]}, "messages"),
        ({"messages": [REQUEST, {"role": "tool", "tool_call_id": "call_1", "content": "Oil."}]}, "messages"),
        ({"messages": [REQUEST, {"role": "assistant", "content": None, "tool_calls": [CALL]}]}, "messages"),
        ({"messages": [REQUEST, {"role": "assistant", "content": None, "tool_calls": [CALL]}, REQUEST]}, "messages"),
        ({"messages": [REQUEST, {"role": "assistant", "content": None, "tool_calls": [{"id": 5}]}]}, "messages"),
    ],
)
def test_bad_tools_are_refused_by_name(client: OpenAI, change: dict[str, Any], param: str) -> None:
    """A mistake in the tools, the choice or the calls is a 400 in OpenAI's format that names the parameter."""
    with pytest.raises(BadRequestError) as refused:
        client.chat.completions.create(**{"model": MODEL_ID, "messages": [REQUEST], "tools": TOOLS, **change})
    assert (refused.value.param, refused.value.code) == (param, "invalid_value")


def test_an_error_leaves_the_connection_usable(base_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """All requests on one connection are answered in order, and no traceback is logged."""
    with httpx.Client(headers={"Authorization": "Bearer any"}, limits=httpx.Limits(max_connections=1)) as client:
        answers = [client.post(f"{base_url}/chat/completions", json={}).status_code for _ in range(3)]
    assert answers == [400, 400, 400]
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@tool
def find_substitutes(food: str) -> str:
    """What can replace a food."""
    return f"Take something like {food}."


@pytest.fixture
def model(base_url: str) -> ChatOpenAI:
    return ChatOpenAI(model=MODEL_ID, base_url=base_url, api_key=SecretStr("any"), max_retries=0)


def test_langchain_gets_a_call_and_passes_its_result_on(model: ChatOpenAI) -> None:
    """ChatOpenAI with bound tools gets a call, whole and streamed, and the answer from the tool's result."""
    bound = model.bind_tools([find_substitutes])
    question = HumanMessage("What can replace the butter?")
    whole = bound.invoke([question])
    assert isinstance(whole, AIMessage)
    assert [(call["name"], call["args"]) for call in whole.tool_calls] == [("find_substitutes", {"food": "butter"})]
    first, *rest = (chunk for chunk in bound.stream([question]) if isinstance(chunk, AIMessageChunk))
    streamed = sum(rest, first)
    assert [call["args"] for call in streamed.tool_calls] == [{"food": "butter"}]
    result = find_substitutes.invoke(whole.tool_calls[0])
    assert isinstance(result, ToolMessage)
    answer = bound.invoke([question, whole, result])
    assert answer.text.endswith("Take something like butter.")


class Meal(BaseModel):
    """A meal to be cooked."""

    ingredients: list[str]
    minutes: int = Field(ge=5, le=240)
    note: str | None = None


def test_langchain_gets_a_structured_answer(model: ChatOpenAI) -> None:
    """A tool made from a pydantic class returns its instance."""
    structured = model.with_structured_output(Meal, method="function_calling")
    assert structured.invoke("Beef and onions in half an hour") == Meal(ingredients=["beef", "onions"], minutes=30)
