"""Lone surrogates, which are possible in JSON but not in UTF-8."""


def replaced(text: str) -> str:
    """Returns the text with a question mark for each lone surrogate."""
    return text if text.isascii() else text.encode(errors="replace").decode()
