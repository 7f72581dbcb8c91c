"""What a gateway needs of the settings, checked already: plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from proxy.wire.framing import STATEMENT_BYTES

SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
TlsMode = Literal["off", "prefer", "require", "verify-client"]


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where a database is. `host` is a folder where the server listens on a unix socket."""

    host: str
    port: int
    dbname: str
    user: str | None = None  # None: each connection's own login
    sslmode: SslMode = "prefer"
    sslrootcert: Path | None = None

    @property
    def unix(self) -> bool:
        return self.host.startswith("/")


@dataclass(frozen=True, slots=True)
class Options:
    """One gateway. Times in seconds, 0: no limit. `listen`: `host:port`, or a folder for a unix socket."""

    listen: tuple[str, ...] = ("127.0.0.1:6432",)
    upstreams: dict[str, Upstream] = field(default_factory=dict)  # by the name that apps ask for
    tls_mode: TlsMode = "off"
    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    audit_directory: Path = Path("audit")
    audit_key: Path | None = None  # None: in the audit log's own folder
    audit_required: bool = True
    audit_full_text: bool = False
    audit_rotate_size: int = 256 * 1024 * 1024
    audit_rotate_every: float = 86_400
    audit_keep: float = 0
    audit_fsync: bool = False
    audit_syslog: str = ""
    connections: int = 10_000
    statement_bytes: int = STATEMENT_BYTES
    idle_timeout: float = 0
    connect_timeout: float = 5
    startup_timeout: float = 60  # from the first byte to ReadyForQuery, as authentication_timeout
    stop_timeout: float = 30  # how long transactions may go on after SIGTERM
    poll: float = 2  # between looks at the catalog
    worker: int = 0
