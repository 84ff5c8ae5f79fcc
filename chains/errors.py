"""What can go wrong between a request and its recipe. Every message is ours and written for people.

SizzleError
├── ConfigError        the registry, a step's model or a key does not fit; said at the start
├── ProviderError      a provider refused, failed, or answered what can't be read
│   └── EmptyAnswer    … came to its end without a word
├── PromptTooLong      the prompt and the answer's limit don't fit the model's window; nothing was sent
├── ProposalError      no two usable recipes were proposed
└── InputFailed        what this part is made from has failed
"""


class SizzleError(Exception):
    """The base of all errors whose message may be shown to whoever asked."""


class ConfigError(SizzleError):
    """The registry, a step's model or a key does not fit."""


class ProviderError(SizzleError):
    """A provider refused, failed, or answered what can't be read. Never holds the provider's own words."""


class EmptyAnswer(ProviderError):
    """The provider came to its end without a word."""


class PromptTooLong(SizzleError):
    """The prompt and the answer's limit don't fit the model's window; nothing was sent."""


class ProposalError(SizzleError):
    """No two usable recipes were proposed."""


class InputFailed(SizzleError):
    """What this part is made from has failed."""
