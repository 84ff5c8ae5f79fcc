"""The exceptions. Their messages are written for users, in English and Korean, and never repeat a provider's text.

SizzleError
├── ConfigError                    the registry, a model or a key does not fit; reported at start
│   └── CompositionError           a composition is declared wrongly
├── ProviderError                  the provider failed or sent an unusable answer; another attempt may succeed
│   ├── ProviderRejectedError      rejected the request, the key, the account or the model: a setting must change
│   ├── ProviderOverloadedError    busy or failing: 408, 409, 429, 5xx
│   ├── ProviderUnreachableError   connection failed
│   ├── ProviderTimeoutError       no token in time
│   ├── ProviderDisconnectedError  connection lost mid-response
│   ├── TruncatedResponseError     response ended without a finish_reason
│   ├── MalformedResponseError     not a chat completion stream, or an error reported inside one
│   ├── EmptyResponseError         response ended without any text
│   └── ProposalError              fewer than two usable options in a proposal
├── PromptTooLongError             prompt and answer limit exceed the model's context window; nothing was sent
└── DependencyFailedError          a part that this one needs has failed
"""

import logging
from typing import LiteralString

from chains.messages import Message
from chains.translations import Language

logger = logging.getLogger(__name__)

TOO_LATE: LiteralString = "There was no time left to write this: try again."
OUR_SIDE: LiteralString = "Something went wrong on our side: try again."


class SizzleError(Exception):
    """Base of all errors whose message may be shown to users.

    `template` is an English `str.format` template for `values`; `chains.translations` holds its Korean form.
    """

    def __init__(self, template: LiteralString, **values: object) -> None:
        self.message = Message(template, **values)
        super().__init__(str(self.message))

    def message_in(self, language: Language) -> str:
        return self.message.in_language(language)


class ConfigError(SizzleError):
    """The registry, a model or a key does not fit. The operator reads it at start, in English."""

    def __init__(self, message: str) -> None:
        super().__init__("{message}", message=message)


class CompositionError(ConfigError):
    """A composition is declared wrongly: the message names it and the part."""


class ProviderError(SizzleError):
    """A provider failed. The message never contains the provider's text.

    `retry_after` is the delay in seconds that the provider asked for, if any.
    """

    retryable = True
    same_model_may_retry = True  # otherwise only another model is tried
    may_be_prompted = False  # whether the prompt may have caused it, so that other prompts would not fail
    log_label = ""  # the name of the underlying error

    def __init__(self, template: LiteralString, *, retry_after: float | None = None, **values: object) -> None:
        super().__init__(template, **values)
        self.retry_after = retry_after


class ProviderRejectedError(ProviderError):
    """The provider rejected the request, the key or the model; trying again does not help."""

    retryable = False


class ProviderOverloadedError(ProviderError):
    """The provider is busy or failing: 408, 409, 429, 5xx."""


class ProviderUnreachableError(ProviderError):
    """The connection to the provider failed."""


class ProviderTimeoutError(ProviderError):
    """The provider did not write a token in time."""


class ProviderDisconnectedError(ProviderError):
    """The connection was lost mid-response."""


class TruncatedResponseError(ProviderError):
    """The response ended without a `finish_reason`."""

    may_be_prompted = True


class MalformedResponseError(ProviderError):
    """The response is not a chat completion stream, or reports an error inside it."""

    may_be_prompted = True


class EmptyResponseError(ProviderError):
    """The response ended without any text."""

    may_be_prompted = True


class ProposalError(ProviderError):
    """Fewer than two usable options were proposed."""


class PromptTooLongError(SizzleError):
    """The prompt and the answer limit exceed the context window; nothing was sent."""


class DependencyFailedError(SizzleError):
    """A part that this one needs has failed."""


def explained(error: Exception) -> SizzleError:
    """Returns the error with a message for users. An unexpected error is logged."""
    if isinstance(error, SizzleError):
        return error
    if isinstance(error, TimeoutError):
        return SizzleError(TOO_LATE)
    logger.error("a part failed", exc_info=error)
    return SizzleError(OUR_SIDE)
