"""Lone surrogates, which are possible in JSON but not in UTF-8."""


class PairJoiner:
    """Joins the two halves of a character (an emoji) that a provider has split between the texts of two chunks."""

    def __init__(self) -> None:
        self.half = ""

    def feed(self, text: str) -> str:
        """Returns the text without a half at its end, and with a question mark for each other one."""
        text = self.half + text
        self.half = text[-1] if text and "\ud800" <= text[-1] <= "\udbff" else ""
        whole = text.removesuffix(self.half)
        return whole if whole.isascii() else replaced(_paired(whole))


def _paired(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def replaced(text: str) -> str:
    """Returns the text with a question mark for each lone surrogate."""
    return text if text.isascii() else text.encode(errors="replace").decode()
