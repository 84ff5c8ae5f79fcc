"""Thinking is no part of an answer, however it is marked."""

import pytest
from hypothesis import given, strategies as st

from chains.models.answers import AnswerReader
from tests.answers import STOP, choice, ok, read

THINKING = [
    "<reason>Draft.</reason>Beef.",
    "<analysis>Draft.</analysis>\nBeef.",
    "<mm:think>Draft.</mm:think>\n\nBeef.",
    "<ant_thinking>Draft.</ant_thinking>Beef.",
    "<antThinking>Draft.</antThinking>Beef.",
    '<think time="3">Draft.</think>Beef.',
    "<think >Draft.</think >Beef.",
    "<|think|>Draft.<|/think|>Beef.",
    "<|thought_start|>Draft.<|thought_end|>Beef.",
    "<|thought_end|>Beef.",
    "<|inner_prefix|>Draft.<|inner_suffix|>Beef.",
    "<unused94>thought\nDraft.<unused95>Beef.",
    "[THOUGHT]Draft.[/THOUGHT]Beef.",
    "◁think▷Draft.◁/think▷Beef.",
    "<|channel>thought\nDraft.<channel|>Beef.",
    "<|channel|>commentary<|message|>Draft.<|end|><|start|>assistant<|channel|>final<|message|>Beef.",
    "<|channel|>final<|message|>Beef.",
    "<think>Draft.</think><response>Beef.</response>",
    "<think>Draft.</think><answer>Beef.</answer>",
    "<think>Draft.</think>\n<final>Beef.</final>",
    "<think>Draft.</think><solution>Beef.</solution>",
    "<Thought>Draft.</Thought>\n<Output>Beef.</Output>",
    "<|begin_of_thought|>Draft.<|end_of_thought|><|begin_of_solution|>Beef.<|end_of_solution|>",
    "<|START_THINKING|>Draft.<|END_THINKING|><|START_RESPONSE|>Beef.<|END_RESPONSE|>",
    "<|start|>assistant<|channel|>analysis<|message|>Draft.<|end|>"
    "<|start|>assistant<|channel|>final<|message|>Beef.<|return|>",
    "analysisWe need a draft.assistantfinalBeef.",
    "Here is my thought process: Draft.\n\nHere is my response: Beef.",
    "<think>Draft.</think>Be<think>Another one.</think>ef.",
    "Beef.</s>",
    "Beef.<|im_end|>",
    "Beef.<|END_OF_TURN_TOKEN|>",
    "Beef.<｜end▁of▁sentence｜>",
    "Beef.<end_of_utterance>",
    "<pad>Beef.",
    "[/INST] Beef.",
    "<start_of_turn>model\nBeef.<end_of_turn>",
    "<|im_start|>assistant\nBeef.",
    "<cot>Draft.</cot>Beef.",
    "<chain_of_thought>Draft.</chain_of_thought>Beef.",
    "<seed:think>Draft.</seed:think>Beef.",
    "<deliberation>Draft.</deliberation>Beef.",
    "<planning>Draft.</planning>Beef.",
    "[THINK]\nDraft.\n[/THINK]\n\nBeef.",
    '<details type="reasoning">Draft.</details>Beef.',
    '<details type="reasoning" done="true" duration="12">\n<summary>Thought</summary>\nDraft.\n</details>\nBeef.',
    "<details open type='reasoning'>Draft with </think>.</details>Beef.",
    "<ctrl94>thought\nDraft.<ctrl95>Beef.",
    "<final>Beef.</final>",
    "<|channel|>analysis<|message|>Draft.<|end|><|start|>assistant"
    "<|channel|>final <|constrain|>json<|message|>Beef.<|return|>",
    "<|start_header_id|>assistant<|end_header_id|>\n\nBeef.",
    "<plan>Draft.</plan>\n\nBeef.",
    "<Draft>Pork.</Draft>\n<answer>Beef.</answer>",
    "<brainstorming>Draft.</brainstorming><critique>No.</critique>Beef.",
    "&lt;think&gt;Draft.&lt;/think&gt;\nBeef.",
    "<|im_start|>think\nDraft.\n<|im_start|>answer\nBeef.<|im_end|>",
    "<|begin|>assistant<|think|>Draft.<|end|><|begin|>assistant<|content|>Beef.<|end|>",
    "<think/>Beef.",
    "\ufeff<think>Draft.</think>Beef.",
    "<s> Beef.</s> <pad><pad>",
]


@pytest.mark.parametrize("text", THINKING)
def test_thinking_and_the_marks_of_an_answer_are_removed(text: str) -> None:
    assert read(choice(text), choice(**STOP)) == ok()
    assert read(*map(choice, text), choice(**STOP)) == ok()


@pytest.mark.parametrize(
    "text",
    [
        "Use <5 minutes, 2 < 3 eggs.",
        "I [think] so",
        "<b>Beef</b> [1] [THINLY]",
        "Beef <",
        "<-",
        "<think of it>",
        "Write the <final> step and its <output>.",
        "<b>Two</b> picks: <answer>Beef.</answer> or <solution>pork</solution>",
        "<details><summary>More</summary>Beef.</details>",
        '<details class="x">Beef.</details>',
        "<plan>Beef.</plan>",
        "<draft>Beef.",
        "First <plan>x</plan> then y.",
        "Use <s>butter</s> oil, write <pad> and <unk>.",
        "Salt &amp; pepper, &lt; 5 g",
        "&lt;b&gt;Beef.&lt;/b&gt;",
        "Write &lt;think&gt;x&lt;/think&gt;.",
    ],
)
def test_other_brackets_in_a_text_are_shown(text: str) -> None:
    assert read(choice(text), choice(**STOP)) == ok(text)
    assert read(*map(choice, text), choice(**STOP)) == ok(text)


def test_words_of_untagged_thinking_end_nothing_in_a_text() -> None:
    text = "Beef for two [1]. Here is my response: fry it."
    assert read(choice(text), choice(**STOP)) == ok(text)


@pytest.mark.parametrize("size", [1, 3, 1000])
@given(st.text(alphabet="ab<>/think \n]THINK◁", max_size=60))
def test_text_without_a_whole_tag_is_shown_to_the_last_character(size: int, text: str) -> None:
    text = f"- {text.replace('<think>', '').replace('</think>', '')}"
    pieces = [choice(text[place : place + size]) for place in range(0, len(text), size)]
    assert read(*pieces, choice(**STOP)).text == text


def test_a_model_known_to_think_is_buffered_up_to_its_closing_tag() -> None:
    reader = AnswerReader(10, starts_with_thinking=True)
    assert reader.feed(choice("A draft.")) == ([], None)
    assert reader.feed(choice("</think>Beef.")) == (["Beef."], None)
    assert read(choice("Beef."), choice(**STOP), starts_with_thinking=True) == ok()
