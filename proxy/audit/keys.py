"""The keys that sign checkpoints: Ed25519, in files. `audit.key` is private, `audit.key.pub` beside it is for auditors.

`audit.key.handovers` has a line for each change of keys: the old key's word for the new one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from proxy.audit.chain import Checkpoint, Handover, key_id
from proxy.errors import ConsentryError, UnreachableError


class Signer:
    """A private key, and how it came to be the one."""

    def __init__(self, key: Ed25519PrivateKey, handovers: tuple[Handover, ...] = ()) -> None:
        self.public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
        self.id = key_id(self.public)
        self.handovers = handovers
        self._key = key

    def checkpoint(self, checkpoint: Checkpoint) -> Checkpoint:
        """The checkpoint, signed."""
        return replace(checkpoint, key=self.id, signature=self.sign(checkpoint.signed))

    def sign(self, data: bytes) -> str:
        """The signature, in hex."""
        return self._key.sign(data).hex()

    def handover(self, new: str) -> Handover:
        """This key's word for another public key."""
        given = Handover(self.public, new)
        return replace(given, signature=self.sign(given.signed))


def holds(public: str, given: Checkpoint | Handover) -> bool:
    """Whether the signature is this key's, over these bytes."""
    return signature_holds(public, given.signature, given.signed)


def signature_holds(public: str, signature: str, data: bytes) -> bool:
    """Whether the signature (hex) of these bytes is this key's."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(bytes.fromhex(signature), data)
    except (InvalidSignature, ValueError):
        return False
    return True


def public_file(path: Path) -> Path:
    """Where the public half of a key's file is."""
    return path.with_name(path.name + ".pub")


def load_or_make(path: Path) -> Signer:
    """The key of a file, made where there is none (0600). Raises UnreachableError and ConsentryError."""
    try:
        try:
            signer = _load(path)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError), _written(path, _pem(Ed25519PrivateKey.generate())) as ready:
                path.hardlink_to(ready)
            signer = _load(path)  # that of another process, where one was quicker
        if not public_file(path).exists() or read_public(public_file(path)) != signer.public:
            _write_public(path, signer.public)
        return signer
    except OSError as error:
        raise UnreachableError(f"audit.key: {error.filename or path}: {error.strerror or error}") from error


def rotate(path: Path) -> tuple[Signer, Signer]:
    """Puts a new key in the place of a file's, whose last act is to sign for it; gives the old and the new one.

    A gateway that runs takes the new key within a second of traffic. Raises UnreachableError and ConsentryError.
    """
    try:
        old = _load(path)
        key = Ed25519PrivateKey.generate()
        new = Signer(key)
        given = old.handover(new.public)
        with _handovers(path).open("a", encoding="utf-8") as file:  # first: a key without it would vouch for nothing
            file.write(json.dumps(asdict(given)) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with _written(path, _pem(key)) as ready:
            ready.replace(path)
        _write_public(path, new.public)
        return old, _load(path)
    except FileNotFoundError as error:
        raise UnreachableError(f"audit.key: {path}: there is no key yet; the gateway makes it at its start") from error
    except OSError as error:
        raise UnreachableError(f"audit.key: {error.filename or path}: {error.strerror or error}") from error


def read_public(path: Path) -> str:
    """The public key of a PEM file, raw in hex. Raises UnreachableError and ConsentryError."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise UnreachableError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ConsentryError(f"{path}: not a public key in PEM: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConsentryError(f"{path}: not an Ed25519 key")
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def version_of(path: Path) -> tuple[int, int] | None:
    """Changes whenever the file is another one; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _load(path: Path) -> Signer:
    data = path.read_bytes()
    try:
        key = load_pem_private_key(data, None)
    except (ValueError, TypeError) as error:
        raise ConsentryError(f"audit.key: {path}: not a private key in PEM: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConsentryError(f"audit.key: {path}: not an Ed25519 key")
    handovers = _handovers(path)
    text = handovers.read_text("utf-8") if handovers.exists() else ""
    return Signer(key, tuple(_read_handovers(handovers, text.splitlines())))


def _read_handovers(path: Path, lines: Iterable[str]) -> Iterable[Handover]:
    for line in lines:
        try:
            yield Handover(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise ConsentryError(f"{path}: a line is damaged: {error}") from error


def _handovers(path: Path) -> Path:
    return path.with_name(path.name + ".handovers")


def _pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@contextmanager
def _written(path: Path, data: bytes, mode: int = 0o600) -> Iterator[Path]:
    """A file beside `path` that is on the disk as a whole, to be put into its place: nobody ever reads half of it."""
    ready = path.with_name(f"{path.name}.{os.getpid()}.new")
    file = os.open(ready, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_TRUNC, mode)
    try:
        with os.fdopen(file, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        yield ready
    finally:
        ready.unlink(missing_ok=True)


def _write_public(path: Path, public: str) -> None:
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
    place, pem = public_file(path), key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with _written(place, pem, 0o666) as ready:
        ready.replace(place)
