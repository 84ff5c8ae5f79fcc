"""The stand-in on a real port, without delays, and OpenAI's own client for it."""

from collections.abc import Iterator

import pytest
from openai import OpenAI

from app.standin import serving


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    with serving(ttft_ms=0, tokens_per_s=0) as url:
        yield url


@pytest.fixture(scope="module")
def client(base_url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=base_url, api_key="any", max_retries=0) as client:
        yield client
