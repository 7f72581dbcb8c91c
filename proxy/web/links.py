"""How customers come in: links that the organisation's own site signs, and the sessions that follow.

A link carries a JSON Web Token (RFC 7519) signed by HS256, so that any language's library can make one: `sub` the
subject key, `aud` "consentry", `exp` at most seven days ahead.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from itsdangerous import BadSignature, URLSafeTimedSerializer
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from proxy.errors import ConsentryError

AUDIENCE: Final = "consentry"
LONGEST_LINK: Final = 7 * 86_400  # seconds
SESSION_SECONDS: Final = 3600
AUDIT_SECONDS: Final = 8 * 3600
_LEEWAY = 60  # seconds that clocks may differ


@dataclass(frozen=True, slots=True)
class Session:
    """A customer who is logged in. `nonce` is the session's own, for its forms."""

    subject: str
    nonce: str


class BadLinkError(Exception):
    """A link that opens nothing. `expired`: it once did."""

    def __init__(self, message: str, *, expired: bool = False) -> None:
        super().__init__(message)
        self.expired = expired


class Keys:
    """What is signed with the secret of `web.login.secret_file`."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < 32:
            raise ConsentryError("the secret of web.login is too short: 32 bytes or more")
        self._secret = secret
        self._link = OctKey.import_key(secret)
        self._logins = URLSafeTimedSerializer(
            secret, salt="consentry login", signer_kwargs={"digest_method": hashlib.sha256}
        )
        self._sessions = URLSafeTimedSerializer(
            secret, salt="consentry session", signer_kwargs={"digest_method": hashlib.sha256}
        )
        self._auditors = URLSafeTimedSerializer(
            secret, salt="consentry audit session", signer_kwargs={"digest_method": hashlib.sha256}
        )

    def make_link_token(self, subject: str, seconds: float, purpose: str | None = None) -> str:
        """The token of a link that opens `subject`'s pages for so long."""
        if not 0 < seconds <= LONGEST_LINK:
            raise ConsentryError("a link is valid for at most 7 days")
        claims: dict[str, Any] = {"sub": subject, "aud": AUDIENCE, "exp": int(time.time() + seconds)}
        if purpose is not None:
            claims["scope"] = purpose
        return jwt.encode({"alg": "HS256"}, claims, self._link)

    def read_link_token(self, token: str, purpose: str | None = None) -> str:
        """The subject of a link's token. Raises BadLinkError."""
        try:
            claims = jwt.decode(token, self._link, algorithms=["HS256"]).claims
        except (JoseError, ValueError) as error:
            raise BadLinkError("the link is not one of ours, or was changed") from error
        subject, expires = claims.get("sub"), claims.get("exp")
        if (
            claims.get("aud") != AUDIENCE
            or not isinstance(subject, str)
            or not subject
            or claims.get("scope") != purpose
        ):
            raise BadLinkError("the link is for something else")
        if isinstance(expires, bool) or not isinstance(expires, int | float):
            raise BadLinkError("the link has no end")
        if expires <= time.time():
            raise BadLinkError("the link has expired", expired=True)
        if expires > time.time() + LONGEST_LINK + _LEEWAY:
            raise BadLinkError("the link would be valid for more than 7 days")
        return subject

    def remember(self, facts: Mapping[str, str]) -> str:
        """A cookie's value for what a login on its way must find again."""
        return self._logins.dumps(dict(facts))

    def recall(self, cookie: str, seconds: int) -> dict[str, str] | None:
        """What was remembered; None where it is none of ours, or older than that."""
        try:
            facts = self._logins.loads(cookie, max_age=seconds)
        except (BadSignature, ValueError, TypeError):
            return None
        return {str(name): str(value) for name, value in facts.items()}

    def make_session(self, subject: str) -> str:
        """A cookie's value for a new session."""
        return self._sessions.dumps([subject, secrets.token_urlsafe(16)])

    def read_session(self, cookie: str) -> Session | None:
        """The session of a cookie; None where it is none of ours, or over."""
        return _session(self._sessions, cookie, SESSION_SECONDS)

    def make_audit_session(self, token: int) -> str:
        """A cookie's value for an auditor who has shown the token of this number."""
        return self._auditors.dumps([str(token), secrets.token_urlsafe(16)])

    def read_audit_session(self, cookie: str) -> Session | None:
        """As `read_session`; the token's number is its `subject`. No customer's cookie is one."""
        return _session(self._auditors, cookie, AUDIT_SECONDS)

    def form_token(self, session: Session) -> str:
        """What each form of the session carries, against forged requests."""
        said = f"consentry form {session.nonce} {session.subject}".encode()
        return hmac.new(self._secret, said, "sha256").hexdigest()

    def is_form_token(self, session: Session, token: str) -> bool:
        return hmac.compare_digest(self.form_token(session).encode(), token.encode())


def _session(serializer: URLSafeTimedSerializer, cookie: str, seconds: int) -> Session | None:
    try:
        subject, nonce = serializer.loads(cookie, max_age=seconds)
    except (BadSignature, ValueError, TypeError):
        return None
    return Session(subject, nonce)


def read_secret(file: Path) -> bytes:
    """The secret in a file, made (0600) where there is none yet. Raises ConsentryError."""
    try:
        try:
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return file.read_bytes().strip()
        secret = secrets.token_urlsafe(48).encode()
        with os.fdopen(handle, "wb") as opened:
            opened.write(secret + b"\n")
        return secret
    except OSError as error:
        raise ConsentryError(f"{file}: {error.strerror or error}") from error
