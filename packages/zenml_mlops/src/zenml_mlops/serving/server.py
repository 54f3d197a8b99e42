"""Runs the application on a socket, with or without TLS, until it is told to stop."""

from __future__ import annotations

import signal
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

import uvicorn
from fastapi import FastAPI

from zenml_mlops.serving.config import ServingConfig

_BACKLOG: Final = 2048


class TlsError(ValueError):
    """The certificates cannot be used as they were given."""


@dataclass(frozen=True)
class Tls:
    """The files of TLS, in PEM.

    Attributes:
        certificate: The service's certificate, with those that lead to its authority.
        client_ca: Authorities of the clients. If it is given, a client without a certificate of theirs gets no
            connection.
    """

    certificate: Path
    private_key: Path
    client_ca: Path | None = None

    def check(self) -> None:
        """Load the files, as the server will.

        Raises:
            TlsError: If they do not fit together or cannot be read.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.certificate, self.private_key)
            if self.client_ca is not None:
                context.load_verify_locations(self.client_ca)
        except (OSError, ssl.SSLError) as error:
            raise TlsError(
                f"TLS needs a certificate, its private key and, for clients, their authorities, in PEM: {error}. "
                f"Given: {self.certificate}, {self.private_key}, {self.client_ca or 'no authorities'}."
            ) from error


class Server(uvicorn.Server):
    """uvicorn's server, which remembers what stopped it."""

    stopped_by: signal.Signals | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Finish what is being answered, then stop."""
        self.stopped_by = self.stopped_by or signal.Signals(sig)
        super().handle_exit(sig, frame)


def build_server(app: FastAPI, config: ServingConfig, tls: Tls | None = None) -> Server:
    """Configure the server.

    Addresses that a proxy claims are not believed: a client could choose the bucket that its requests count in.

    Raises:
        TlsError: If the certificates cannot be used.
    """
    if tls is not None:
        tls.check()
    return Server(
        uvicorn.Config(
            app,
            host=config.host,
            port=config.port,
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=config.shutdown_seconds,
            ssl_certfile=None if tls is None else tls.certificate,
            ssl_keyfile=None if tls is None else tls.private_key,
            ssl_ca_certs=None if tls is None or tls.client_ca is None else str(tls.client_ca),
            ssl_cert_reqs=ssl.CERT_NONE if tls is None or tls.client_ca is None else ssl.CERT_REQUIRED,
        )
    )


def listen(config: ServingConfig) -> socket.socket:
    """Take the address. uvicorn would end the process where it is taken.

    Raises:
        OSError: If it cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        listener = socket.create_server((config.host, config.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise OSError(
            f"The service cannot listen on {config.host} port {config.port}: {error.strerror}. Stop what listens "
            "there, or take another --port."
        ) from error
    # Connections inherit it. Without it an answer's second packet waits 40 ms for a client's acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def run(server: Server, listener: socket.socket) -> None:
    """Serve until SIGTERM or Ctrl-C; requests that are being answered are finished first.

    Raises:
        KeyboardInterrupt: When it was told to stop.
    """
    server.run(sockets=[listener])
