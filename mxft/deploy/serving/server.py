"""The service on its port: a socket that is bound before the model is read, and waitress on it, ended cleanly."""
import errno
import ipaddress
import logging
import socket
import threading

from waitress.adjustments import Adjustments
from waitress.task import ThreadedTaskDispatcher

from mxft.deploy.serving.connections import Server
from mxft.errors import InputError

SPARE_THREADS = 16  # for what does not wait for a process: the page, probes, refusals
IN_MEMORY = 1 << 18  # bytes of a body; the rest is in a temporary file while it comes


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


def serve(app, listening, front, log):
    """Answer until Ctrl-C or a signal, which goes on to the caller once the requests under way are answered.

    Parameters
    ----------
    app : flask.Flask
    listening : socket.socket
        From `bind`.
    front : mxft.deploy.serving.front.Front
    log : mxft.deploy.serving.access_log.AccessLog

    Notes
    -----
    waitress ends its own loop on Ctrl-C without a word; so the loop has a thread of its own here, and the signal
    reaches the main one. A second signal does not wait for anybody.
    """
    server = make_server(app, listening, front, log)
    loop = threading.Thread(target=server.run, name="serving", daemon=True)
    loop.start()
    try:
        while loop.is_alive():
            loop.join(1)
    finally:
        server.end(front.options.grace)
        loop.join()
        server.task_dispatcher.shutdown(timeout=1)


def make_server(app, listening, front, log):
    """Return the `mxft.deploy.serving.connections.Server` of an application, not yet running."""
    options, dispatcher = front.options, ThreadedTaskDispatcher()
    dispatcher.set_thread_count(options.under_way + SPARE_THREADS)
    adj = Adjustments(
        sockets=[listening], ident=None, max_request_body_size=options.max_bytes + 1,  # it refuses the number itself
        connection_limit=1 << 20, channel_timeout=1 << 20, cleanup_interval=3600,  # all three are ours: see Server
        asyncore_use_poll=True, inbuf_overflow=IN_MEMORY, backlog=1024, log_socket_errors=False,
        clear_untrusted_proxy_headers=False)
    for name in ("waitress", "waitress.queue"):  # several requests at a time, or a client that is gone, are no event
        logging.getLogger(name).setLevel(logging.ERROR)
    address = (listening.family, listening.type, listening.proto, listening.getsockname())
    return Server(front, log, behind_proxies(app, options), map={}, _sock=listening, dispatcher=dispatcher, adj=adj,
                  bind_socket=False, sockinfo=address)


def behind_proxies(app, options):
    """Return a WSGI application that sees the client's address where one of the proxies of `options` names it.

    Parameters
    ----------
    app : callable
    options : mxft.deploy.serving.options.ServingOptions

    Notes
    -----
    Of X-Forwarded-For the last address that is no proxy of ours is taken: what stands before it, the client may have
    written itself. Nobody else's header is read.
    """
    def application(environ, start_response):
        chain = [environ.get("REMOTE_ADDR", "")]
        forwarded = environ.get("HTTP_X_FORWARDED_FOR", "").split(",")
        while options.is_proxy(chain[-1]) and forwarded:
            address = forwarded.pop().strip()
            if not _is_address(address):
                break
            chain.append(address)
        environ["REMOTE_ADDR"] = chain[-1]
        return app(environ, start_response)
    return application


def _is_address(text):
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False
