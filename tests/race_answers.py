"""Models and a provider's answers for the tests of the race."""

import json

from tests.servers import Script

ONE, OTHER = "groq-gpt-oss-20b", "groq-gpt-oss-120b"


def usage(tokens: int, **details: int) -> bytes:
    """The chunk with the provider's token counts."""
    counted = {"prompt_tokens": 9, "completion_tokens": tokens, "total_tokens": 9 + tokens}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": []}
    return f"data: {json.dumps(chunk | {'usage': counted | {'completion_tokens_details': details}})}\n\n".encode()


ANSWER: Script = ["Slice ", "the ", "beef.", usage(3)]
