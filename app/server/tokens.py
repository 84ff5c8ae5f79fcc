"""Tokens, which let programs in, and the cookies of people who have signed in with one."""

import hashlib
import hmac
import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from app.clients import Client
from chains.errors import ConfigError

logger = logging.getLogger(__name__)

OWNER = "owner"  # the name of SIZZLE_TOKEN
MIN_LENGTH = 32
NEW_TOKEN = "make one with: openssl rand -hex 32"  # noqa: S105
COOKIE_S = 30 * 86_400
CHECK_S = 1.0  # between looks at the file
SECRETS = Path("/run/secrets")  # where containers have files that every user of theirs can read
_NAME = re.compile(r"[A-Za-z][\w.-]{0,63}", re.ASCII)


def valid_token(token: str) -> str:
    """Returns the token. Raises `ValueError` without repeating it."""
    if len(token) < MIN_LENGTH or not (token.isascii() and token.isprintable()) or " " in token:
        raise ValueError(f"expected at least {MIN_LENGTH} visible ASCII characters; {NEW_TOKEN}")
    return token


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens by name. A cookie is signed with a key derived from its token: it ends when the token is removed."""

    by_name: Mapping[str, str]

    def __bool__(self) -> bool:
        return bool(self.by_name)

    def client_with(self, token: str) -> Client | None:
        """Compares with every token, in constant time."""
        found, given = None, _digest(token)
        for name, each in self.by_name.items():
            if hmac.compare_digest(_digest(each), given):
                found = Client(name, is_named=True)
        return found

    def knows(self, token: str) -> bool:
        return self.client_with(token) is not None

    def cookie_for(self, name: str) -> str:
        return self._signed(name, int(time.time()) + COOKIE_S)

    def client_of_cookie(self, cookie: str) -> Client | None:
        """Returns the client that signed in, unless the cookie is forged or has expired."""
        name, _, rest = cookie.partition(":")
        expiry = rest.partition(":")[0]
        if name not in self.by_name or not re.fullmatch(r"[0-9]{1,12}", expiry) or int(expiry) < time.time():
            return None
        is_genuine = hmac.compare_digest(self._signed(name, int(expiry)).encode(), cookie.encode())
        return Client(name, is_named=True) if is_genuine else None

    def _signed(self, name: str, expiry: int) -> str:
        key = hmac.digest(self.by_name[name].encode(), b"session cookie", "sha256")
        return f"{name}:{expiry}:{hmac.digest(key, f'{name}:{expiry}'.encode(), 'sha256').hex()}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads lines `name token`; # begins a comment. Raises `ConfigError` without repeating any."""
        tokens = dict[str, str]()
        for number, line in enumerate(text.splitlines(), 1):
            match line.split():
                case []:
                    pass
                case [first, *_] if first.startswith("#"):
                    pass
                case [name, token] if _NAME.fullmatch(name) and name not in tokens and token not in tokens.values():
                    tokens[name] = _checked(token, number)
                case _:
                    raise ConfigError(f"{_LINE.format(number)}: expected a new name, a space and a new token.")
        return cls(tokens)


class TokenSource:
    """The tokens of the settings. The file is read again when it changes; a mistake in it keeps the previous ones.

    Raises `ConfigError`.
    """

    def __init__(self, token: str | None, file: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._own = {OWNER: token} if token else {}
        self._file, self._clock = file, clock
        self._seen = _mark(file)
        self._tokens = self._read()
        self._next_check = clock() + CHECK_S

    @property
    def current(self) -> Tokens:
        if self._file and self._clock() >= self._next_check:
            self._next_check = self._clock() + CHECK_S
            if (mark := _mark(self._file)) != self._seen:
                self._seen = mark
                self._reload()
        return self._tokens

    def _reload(self) -> None:
        try:
            self._tokens = self._read()
            logger.info("SIZZLE_TOKENS_FILE has been read again: %s.", ", ".join(self._tokens.by_name))
        except ConfigError as error:
            logger.error("The previous tokens stay valid: %s", error)

    def _read(self) -> Tokens:
        named = _read_file(self._file).by_name if self._file else dict[str, str]()
        if self._file and not named:
            raise ConfigError("SIZZLE_TOKENS_FILE: expected at least one line with a name and a token.")
        if self._own and OWNER in named:
            raise ConfigError(f"SIZZLE_TOKENS_FILE: {OWNER} is the name of SIZZLE_TOKEN; choose another one.")
        return Tokens({**self._own, **named})


_LINE = "SIZZLE_TOKENS_FILE, line {}"


def _checked(token: str, number: int) -> str:
    try:
        return valid_token(token)
    except ValueError as error:
        raise ConfigError(f"{_LINE.format(number)}: {error}.") from None


def _read_file(file: Path) -> Tokens:
    try:
        text = file.read_text("utf-8-sig")  # some editors write a byte order mark
        if file.stat().st_mode & 0o007 and not file.is_relative_to(SECRETS):
            raise ConfigError(f"SIZZLE_TOKENS_FILE: others can read or change it; run: chmod 600 {file}")
        return Tokens.parse(text)
    except OSError as error:
        raise ConfigError(f"SIZZLE_TOKENS_FILE: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigError("SIZZLE_TOKENS_FILE is not UTF-8.") from None


def _mark(file: Path | None) -> tuple[int, int, int, int] | None:
    """Returns a value that changes with the file's content or permissions."""
    try:
        stat = file.stat() if file else None
    except OSError:
        return None
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino, stat.st_mode) if stat else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()
