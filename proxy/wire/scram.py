"""What of SASL's messages a gateway must see that passes authentication through. Pure.

Channel binding ties the password proof to one TLS connection: it cannot pass through a gateway, so it is not offered.
Source: RFC 5802, section 6 and 7; PostgreSQL documentation, "SASL Authentication".
"""

from __future__ import annotations

from typing import Final

from proxy.errors import PgError
from proxy.wire import messages

OK: Final = 0
KERBEROS: Final = 2
CLEARTEXT: Final = 3
MD5: Final = 5
GSS: Final = 7
GSS_CONTINUE: Final = 8
SSPI: Final = 9
SASL: Final = 10
SASL_CONTINUE: Final = 11
SASL_FINAL: Final = 12

ANSWERED: Final = frozenset((CLEARTEXT, MD5, SASL, SASL_CONTINUE))  # requests that the frontend answers


def without_channel_binding(body: bytes) -> bytes:
    """An AuthenticationSASL's body (after the code) with the -PLUS mechanisms taken out.

    Raises PgError where none is left.
    """
    mechanisms = [name for name in body.split(b"\0") if name]
    kept = [name for name in mechanisms if not name.endswith(b"-PLUS")]
    if not kept:
        raise channel_binding_refused("The database takes only SCRAM with channel binding.")
    return b"".join(name + b"\0" for name in kept) + b"\0"


def sasl_request(mechanisms: bytes) -> bytes:
    """A whole AuthenticationSASL message."""
    return messages.message(messages.AUTHENTICATION, messages.UINT32.pack(SASL) + mechanisms)


def says_no_binding_offered(body: bytes) -> bool:
    """Whether a SASLInitialResponse's body has the flag `y`: "I can bind to the channel, but you did not offer it".

    The server refuses such a client when it did offer it (the flag defends against one who takes the offer out).
    """
    _, _, rest = body.partition(b"\0")
    return rest[4:5] == b"y"


def channel_binding_refused(detail: str) -> PgError:
    """FATAL: the client wants what cannot pass through a gateway."""
    return PgError(
        "SCRAM with channel binding cannot pass through the gateway",
        "28000",
        detail=detail,
        hint="Connect with channel_binding=disable.",
        severity="FATAL",
    )
