"""HTTP/2 as it is on the wire: with prior knowledge over cleartext, by ALPN over TLS."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import h2.config
import h2.connection
import h2.events
import pytest

from tests.live import Server, serve
from tests.serve.calls import CONVERSE, Answer, call, said, settings, signed


def over_http2(sock: socket.socket, server: Server, path: str, body: bytes) -> Answer:
    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    connection.initiate_connection()
    headers = {name.lower(): value for name, value in signed(server, path, body).items()}
    parts = urlsplit(server.url)
    pseudo = {":method": "POST", ":scheme": parts.scheme, ":authority": headers.pop("host"), ":path": path}
    connection.send_headers(1, [*pseudo.items(), *headers.items()])
    connection.send_data(1, body, end_stream=True)
    sock.sendall(connection.data_to_send())
    found: dict[str, str] = {}
    received = b""
    while data := sock.recv(65536):
        for event in connection.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                found = dict(event.headers or ())  # type: ignore[arg-type]  # texts, as configured
            elif isinstance(event, h2.events.DataReceived):
                received += event.data or b""
            elif isinstance(event, h2.events.StreamEnded):
                return Answer(int(found[":status"]), found, received)
        sock.sendall(connection.data_to_send())
    raise AssertionError("the connection ended early")


def test_cleartext_with_prior_knowledge(server: Server) -> None:
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname, parts.port or 0), timeout=30) as sock:
        answer = over_http2(sock, server, CONVERSE, said("hi"))
    assert answer.status == 200
    assert answer.json["output"]["message"]["content"] == [{"text": "Hello from the script."}]
    assert answer.headers["x-amzn-requestid"]


def test_tls_negotiates_http2(tmp_path: Path) -> None:
    with serve(tmp_path, "--tls", settings=settings("").replace('script = ""', "")) as server:
        context = ssl.create_default_context(cafile=server.environment["AWS_CA_BUNDLE"])
        parts = urlsplit(server.url)
        for protocols in (["h2", "http/1.1"], ["http/1.1"]):
            context.set_alpn_protocols(protocols)
            with (
                socket.create_connection((parts.hostname, parts.port or 0), timeout=30) as plain,
                context.wrap_socket(plain, server_hostname=parts.hostname) as sock,
            ):
                assert sock.selected_alpn_protocol() == protocols[0]
                if protocols[0] == "h2":
                    assert over_http2(sock, server, CONVERSE, said("hi")).status == 200
        stranger = ssl.create_default_context()
        with (
            socket.create_connection((parts.hostname, parts.port or 0), timeout=30) as plain,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            stranger.wrap_socket(plain, server_hostname=parts.hostname)


def test_http_1_still_works_beside_it(server: Server) -> None:
    assert call(server, CONVERSE, said("hi")).status == 200
