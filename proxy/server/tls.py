"""TLS on both sides: contexts, 1.2 at least."""

from __future__ import annotations

import ssl

from proxy.errors import ConsentryError
from proxy.server.options import Options, Upstream
from proxy.wire.startup import ALPN


def server_context(options: Options) -> ssl.SSLContext | None:
    """For clients; None where TLS is off or there is no certificate. Raises ConsentryError where files do not fit."""
    if options.tls_mode == "off":
        return None
    if options.certificate is None or options.key is None:
        if options.tls_mode == "prefer":
            return None
        raise ConsentryError(f"tls.mode is {options.tls_mode}, but tls.certificate or tls.key is missing")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([ALPN])
    try:
        context.load_cert_chain(options.certificate, options.key)
    except (OSError, ssl.SSLError) as error:
        raise ConsentryError(f"cannot use {options.certificate} with {options.key}: {error}") from error
    if options.tls_mode == "verify-client":
        if options.client_ca is None:
            raise ConsentryError("tls.mode is verify-client, but tls.client_ca is missing")
        context.load_verify_locations(options.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(upstream: Upstream) -> ssl.SSLContext | None:
    """For a connection to the database; None where it goes without TLS. Modes mean what they mean to libpq."""
    if upstream.unix or upstream.sslmode in ("disable", "allow"):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = upstream.sslmode == "verify-full"
    if upstream.sslmode in ("verify-ca", "verify-full"):
        if upstream.sslrootcert is not None:
            context.load_verify_locations(upstream.sslrootcert)
        else:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    elif upstream.sslrootcert is not None:  # libpq: require with a root certificate is verify-ca
        context.load_verify_locations(upstream.sslrootcert)
    else:
        context.verify_mode = ssl.CERT_NONE
    return context
