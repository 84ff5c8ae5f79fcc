"""The stand-in reads texts that are designed to be slow in linear time."""

import time

import pytest

from app.standin.cook import reply
from tests.standin.prompts import prompt

PIECES = ["a", "가", "ㅁ", " ", "\n", "no ", "1 ", "(", "a (", "without ", "instead of ", "소고기 ", "1/2 "]


def seconds(text: str) -> float:
    """CPU seconds for one answer to a list and to a question."""
    began = time.thread_time()
    reply(*prompt("nutrition", text))
    reply("", text)
    return time.thread_time() - began


@pytest.mark.parametrize("piece", PIECES)
def test_four_times_the_text_takes_no_more_than_six_times_as_long(piece: str) -> None:
    reply("", "beef")
    short, long = (min(seconds(f"beef {piece * (size // len(piece))} {n}") for n in range(3)) for size in (1000, 4000))
    assert long < 6 * short + 0.2
