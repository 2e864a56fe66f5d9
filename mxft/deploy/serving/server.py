"""The service on its port: waitress, with its own refusals in JSON too, ended cleanly."""
import errno
import ipaddress
import json
import logging
import socket
import threading

import waitress
from waitress.channel import HTTPChannel
from waitress.task import ErrorTask

from mxft.deploy.serving.application import HEADERS, too_large
from mxft.errors import InputError


def bind(host, port):
    """Return a socket bound to a host's first address; `port` 0 takes a free one.

    Raises
    ------
    InputError
        There is no such address here, or the port is taken or reserved.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM,
                                                         flags=socket.AI_PASSIVE)[0]
    except (socket.gaierror, UnicodeError):
        raise InputError(f"`host`: expected an address of this machine, received host={host!r}") from None
    listening = socket.socket(family, kind)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
        listening.listen()
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise InputError(f"`host`: expected an address of this machine, received host={host!r}") from None
        why = "another program uses" if error.errno == errno.EADDRINUSE else "needs other rights"
        raise InputError(f"`port`: expected one that is free, received port={port}, which {why} ({host}); "
                         "`port` 0 takes a free one") from None
    return listening


def is_loopback(listening):
    """Whether only programs of this machine reach a bound socket."""
    return ipaddress.ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback


def address_of(listening):
    """Return the page's address, ``http://127.0.0.1:8000/``."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def serve(app, listening, threads, max_bytes):
    """Answer until Ctrl-C or a signal, which goes on to the caller once the requests under way are answered.

    Parameters
    ----------
    app : flask.Flask
    listening : socket.socket
        From `bind`.
    threads : int
        Requests read and answered at a time.
    max_bytes : int
        A body that announces more is refused before it is read.

    Notes
    -----
    waitress ends its own loop on Ctrl-C without a word; so the loop has a thread of its own here, and the signal
    reaches the main one.
    """
    server = waitress.create_server(app, sockets=[listening], threads=threads, ident=None,
                                    max_request_body_size=max_bytes + 1)  # waitress refuses the number itself, too
    server.channel_class = _Channel
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # several requests at a time are no event
    loop = threading.Thread(target=server.run, name="serving", daemon=True)
    loop.start()
    try:
        loop.join()
    finally:
        server.task_dispatcher.shutdown()
        server.close()


class _JsonError(ErrorTask):
    """What waitress refuses before the application sees it, as the application would."""

    def execute(self):
        error = self.request.error
        sentence = too_large(self.channel.adj.max_request_body_size - 1) if error.code == 413 else \
            f"{error.reason}: {error.body}."
        body = json.dumps({"error": sentence}).encode() + b"\n"
        self.status = f"{error.code} {error.reason}"
        self.response_headers += [("Content-Type", "application/json"), *HEADERS.items()]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Channel(HTTPChannel):
    error_task_class = _JsonError
