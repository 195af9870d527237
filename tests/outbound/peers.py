"""Real servers on loopback that behave, lie, stall or redirect, for the tests of outbound calls."""

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.builders import NOW

_VALID = dt.timedelta(days=3650)
_HANGS_AT_MOST = 10.0


@dataclass(slots=True)
class Peer:
    """A listener: what it was sent, and how often somebody connected at all."""

    port: int
    stopping: threading.Event = field(default_factory=threading.Event)
    requests: list[bytes] = field(default_factory=list)
    open: list[socket.socket] = field(default_factory=list)

    @property
    def connections(self) -> int:
        """How often somebody connected, whether or not they said anything."""
        return len(self.open)

    def stop(self) -> None:
        """Hang up on everybody, so that no thread waits for a client that keeps a connection."""
        self.stopping.set()
        for connection in self.open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


Behaviour = Callable[[socket.socket, Peer], None]


@contextmanager
def peer(behaviour: Behaviour, *, tls: ssl.SSLContext | None = None) -> Iterator[Peer]:
    """Listen on a loopback port; each connection is handed to `behaviour` in a thread."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        it = Peer(listener.getsockname()[1])
        accepting = threading.Thread(target=_accept, args=(listener, it, behaviour, tls))
        accepting.start()
        try:
            yield it
        finally:
            it.stop()
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join(_HANGS_AT_MOST)


def _accept(
    listener: socket.socket, it: Peer, behaviour: Behaviour, tls: ssl.SSLContext | None
) -> None:
    threads = []
    while not it.stopping.is_set():
        try:
            connection, _ = listener.accept()
        except OSError:
            break
        it.open.append(connection)
        thread = threading.Thread(target=_serve, args=(connection, it, behaviour, tls))
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join(_HANGS_AT_MOST)


def _serve(
    plain: socket.socket, it: Peer, behaviour: Behaviour, tls: ssl.SSLContext | None
) -> None:
    plain.settimeout(_HANGS_AT_MOST)
    # The client may leave at any time, which is what many tests want it to do.
    with plain, suppress(OSError):
        if tls is None:
            behaviour(plain, it)
        else:
            with tls.wrap_socket(plain.dup(), server_side=True) as connection:
                behaviour(connection, it)


def read_request(connection: socket.socket, it: Peer) -> bytes:
    """Read one request with its body; empty when the client has gone."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65536)
        if not piece:
            return b""
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    lengths = [
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    ]
    while lengths and len(body) < lengths[0]:
        body += connection.recv(65536)
    it.requests.append(head + b"\r\n\r\n" + body)
    return it.requests[-1]


def answering(answer: bytes) -> Behaviour:
    """Answer each request of a kept-alive connection with the same bytes."""

    def behave(connection: socket.socket, it: Peer) -> None:
        while read_request(connection, it):
            connection.sendall(answer)

    return behave


def answering_once(answer: bytes) -> Behaviour:
    """Answer one request, then close."""

    def behave(connection: socket.socket, it: Peer) -> None:
        read_request(connection, it)
        connection.sendall(answer)

    return behave


def hanging(connection: socket.socket, it: Peer) -> None:
    """Take the request and never answer."""
    read_request(connection, it)
    it.stopping.wait(_HANGS_AT_MOST)


def trickling(connection: socket.socket, it: Peer) -> None:
    """Answer one byte now and then, so that no single read ever times out."""
    read_request(connection, it)
    while not it.stopping.wait(0.05):
        connection.sendall(b"H")


def endless(connection: socket.socket, it: Peer) -> None:
    """Answer a body without end or announced length."""
    read_request(connection, it)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while not it.stopping.is_set():
        connection.sendall(b"x" * 65536)


@dataclass(frozen=True, slots=True)
class Authority:
    """A private certificate authority and the files that a test needs of it."""

    folder: Path
    bundle: Path
    _key: ec.EllipticCurvePrivateKey
    _name: x509.Name

    @classmethod
    def made_in(cls, folder: Path) -> "Authority":
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
        certificate = (
            _certificate(name, name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        bundle = folder / "authority.pem"
        bundle.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return cls(folder, bundle, key, name)

    def server_for(self, *names: str) -> ssl.SSLContext:
        """Return the context of a server whose certificate bears `names`."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        certificate = (
            _certificate(subject, self._name, key.public_key())
            .add_extension(x509.SubjectAlternativeName(list(map(_alternative, names))), False)  # noqa: FBT003  its API
            .sign(self._key, hashes.SHA256())
        )
        chain = self.folder / f"{names[0]}.pem"
        chain.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        return context


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - _VALID)
        .not_valid_after(NOW + _VALID)
    )
