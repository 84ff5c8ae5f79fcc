"""What can go wrong between a request and its recipe. Every message is ours, written for people, in each language.

SizzleError
├── ConfigError        the registry, a step's model or a key does not fit; said at the start
├── ProviderError      a provider failed, or answered what can't be read: another attempt may come out well
│   ├── Refused        … and will again, until a setting is changed: the request, the key, the account, the model
│   ├── Overloaded     … for now, by its own account: 408, 409, 429, 5xx
│   ├── Unreachable    … to be connected to
│   ├── Stalled        … to write a token in time, whatever keeps its connection alive
│   ├── Disconnected   … in mid-answer, as its connection did
│   ├── Truncated      … to say that its answer was at its end
│   ├── Unreadable     … to keep to the protocol, or told of a failure in its stream
│   ├── EmptyAnswer    … to write a word
│   └── ProposalError  … to propose two usable recipes
├── PromptTooLong      the prompt and the answer's limit don't fit the model's window; nothing was sent
└── InputFailed        what this part is made from has failed
"""

from typing import LiteralString

from chains.messages import Message
from chains.translations import Language


class SizzleError(Exception):
    """The base of all errors whose message may be shown to whoever asked.

    `template` is an English template of `str.format` for `values`; `chains.translations` has its Korean form.
    """

    def __init__(self, template: LiteralString, **values: object) -> None:
        self.message = Message(template, **values)
        super().__init__(str(self.message))

    def message_in(self, language: Language) -> str:
        return self.message.in_language(language)


class ConfigError(SizzleError):
    """The registry, a step's model or a key does not fit. Whoever starts the program reads it, in English."""

    def __init__(self, message: str) -> None:
        super().__init__("{message}", message=message)


class ProviderError(SizzleError):
    """A provider failed. Never holds the provider's own words.

    `retry_after` is what the provider asked to be spared for, in seconds, if it did.
    """

    passes = True  # whether another attempt may come out well
    may_ask_again = True  # whether that may be one on the same model
    kind = ""  # for the log: what it was called where it came up

    def __init__(self, template: LiteralString, *, retry_after: float | None = None, **values: object) -> None:
        super().__init__(template, **values)
        self.retry_after = retry_after


class Refused(ProviderError):
    """The provider did not accept the request, the key or the model, and won't the next time."""

    passes = False


class Overloaded(ProviderError):
    """The provider has too much to do, or is out of order: 408, 409, 429, 5xx."""


class Unreachable(ProviderError):
    """The provider could not be connected to."""


class Stalled(ProviderError):
    """The provider did not write a token in time."""


class Disconnected(ProviderError):
    """The connection to the provider broke in mid-answer."""


class Truncated(ProviderError):
    """The provider's answer ended without a `finish_reason`."""


class Unreadable(ProviderError):
    """The provider sent what is no stream of a chat completion, or told of a failure in it."""


class EmptyAnswer(ProviderError):
    """The provider came to its end without a word."""


class ProposalError(ProviderError):
    """No two usable recipes were proposed."""


class PromptTooLong(SizzleError):
    """The prompt and the answer's limit don't fit the model's window; nothing was sent."""


class InputFailed(SizzleError):
    """What this part is made from has failed."""
