"""Lone surrogates, which JSON can hold and UTF-8 can't."""


def replaced(text: str) -> str:
    """The text with a question mark for each lone surrogate."""
    return text if text.isascii() else text.encode(errors="replace").decode()
