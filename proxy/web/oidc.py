"""Login of customers by the organisation's own provider: OpenID Connect, the authorization code flow with PKCE.

https://openid.net/specs/openid-connect-core-1_0.html. The provider says who somebody is; which claim is the subject
key, the settings say. What must be remembered between leaving and coming back is in a signed cookie, so that any
process of the web side can finish what another began.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from proxy.config import OidcSettings

SECONDS: Final = 600  # between leaving for the provider and coming back
_TIMEOUT: Final = 10.0
_ALGORITHMS: Final = ("RS256", "PS256", "ES256", "ES384", "EdDSA")  # none that a shared or public secret could make
_LEEWAY: Final = 60


class OidcError(Exception):
    """The provider did not say who it is. `temporary`: it cannot be asked now."""

    def __init__(self, message: str, *, temporary: bool = False) -> None:
        super().__init__(message)
        self.temporary = temporary


@dataclass(frozen=True, slots=True)
class Begun:
    """A login on its way: the address to go to, and what is to be remembered until it comes back."""

    address: str
    remembered: dict[str, str]


class Provider:
    """One provider. Its metadata and keys are fetched when they are first needed, keys anew when one is not known."""

    def __init__(self, settings: OidcSettings, secret: str | None) -> None:
        self._settings = settings
        self._secret = secret
        self._metadata: dict[str, Any] | None = None
        self._keys: KeySet | None = None

    async def begin(self, back: str) -> Begun:
        """`back`: the address of ours that the provider sends the browser to. Raises OidcError."""
        metadata = await self._known()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        async with self._client(back) as client:
            address, _ = client.create_authorization_url(
                metadata["authorization_endpoint"], state=state, nonce=nonce, code_verifier=verifier
            )
        return Begun(address, {"state": state, "nonce": nonce, "verifier": verifier})

    async def finish(self, back: str, came: str, remembered: dict[str, str]) -> str:
        """The subject key of who comes back at the address `came`. Raises OidcError."""
        metadata = await self._known()
        try:
            async with self._client(back, remembered["state"]) as client:
                token = await client.fetch_token(
                    metadata["token_endpoint"], authorization_response=came, code_verifier=remembered["verifier"]
                )
        except httpx2.HTTPError as error:
            raise OidcError(f"the provider does not answer: {error!r}", temporary=True) from error
        except (AuthlibBaseError, ValueError) as error:
            raise OidcError(f"the provider did not confirm the login: {error}") from error
        return await self.subject_of(token, remembered["nonce"])

    async def subject_of(self, token: Mapping[str, Any], nonce: str) -> str:
        """Whose token it is, by its ID token, of the login that `nonce` began. Raises OidcError."""
        claims = await self._claims(str(token.get("id_token", "")))
        self._check(claims, nonce)
        subject = claims.get(self._settings.subject_claim)
        if isinstance(subject, bool) or not isinstance(subject, str | int) or subject == "":
            raise OidcError(f"the provider's token has no claim {self._settings.subject_claim}")
        return str(subject)

    def _client(self, back: str, state: str | None = None) -> AsyncOAuth2Client:
        return AsyncOAuth2Client(
            self._settings.client_id,
            self._secret,
            scope=" ".join(self._settings.scopes),
            redirect_uri=back,
            state=state,
            code_challenge_method="S256",
            timeout=_TIMEOUT,
        )

    async def _claims(self, token: str) -> dict[str, Any]:
        for fresh in (False, True):
            keys = await self._known_keys(fresh)
            try:
                return jwt.decode(token, keys, algorithms=list(_ALGORITHMS)).claims
            except (JoseError, ValueError) as error:
                wrong = error  # of a key that is not known yet, where the provider has changed it
        raise OidcError(f"the provider's token is not signed by it: {wrong}") from wrong

    def _check(self, claims: dict[str, Any], nonce: str) -> None:
        audience = claims.get("aud")
        several = audience if isinstance(audience, list) else [audience]
        if claims.get("iss") != self._settings.issuer or self._settings.client_id not in several:
            raise OidcError("the provider's token is for somebody else")
        if (len(several) > 1 or "azp" in claims) and claims.get("azp") != self._settings.client_id:
            raise OidcError("the provider's token was made for another party")
        if not secrets.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
            raise OidcError("the provider's token is of another login")
        rules = jwt.JWTClaimsRegistry(leeway=_LEEWAY, exp={"essential": True}, iat={"essential": True})
        try:
            rules.validate(claims)
        except JoseError as error:
            raise OidcError(f"the provider's token is not in force: {error}") from error

    async def _known(self) -> dict[str, Any]:
        if self._metadata is None:
            found = await self._fetch(f"{self._settings.issuer.rstrip('/')}/.well-known/openid-configuration")
            if found.get("issuer") != self._settings.issuer:
                raise OidcError(f"the provider calls itself {found.get('issuer')!r}, not {self._settings.issuer!r}")
            needed = ("authorization_endpoint", "token_endpoint", "jwks_uri")
            missing = [name for name in needed if not isinstance(found.get(name), str)]
            if missing:
                raise OidcError(f"the provider's description lacks {', '.join(missing)}")
            self._metadata = found
        return self._metadata

    async def _known_keys(self, fresh: bool) -> KeySet:
        if self._keys is None or fresh:
            metadata = await self._known()
            try:
                self._keys = KeySet.import_key_set(await self._fetch(metadata["jwks_uri"]))  # type: ignore[arg-type]
            except (JoseError, ValueError, KeyError) as error:
                raise OidcError(f"the provider's keys cannot be read: {error}") from error
        return self._keys

    async def _fetch(self, address: str) -> dict[str, Any]:
        try:
            async with httpx2.AsyncClient(timeout=_TIMEOUT) as client:
                answer = (await client.get(address)).raise_for_status()
                found = answer.json()
        except (httpx2.HTTPError, ValueError) as error:
            raise OidcError(f"{address} cannot be read: {error!r}", temporary=True) from error
        if not isinstance(found, dict):
            raise OidcError(f"{address} holds no JSON object")
        return found
