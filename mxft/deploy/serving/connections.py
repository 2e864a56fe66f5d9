"""Connections as waitress holds them, with an absolute deadline for each request and a limit for each address.

waitress closes a connection that is silent; one that sends a byte a second is never silent and keeps its place. Here a
request has to come whole within a time from its first byte; and where the places are taken, the connection that has
been waited for longest makes room for the new one, so that slow senders keep nobody else out.
"""
import json
import socket
import time

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, WSGITask

from mxft.deploy.serving.admission import household
from mxft.deploy.serving.application import HEADERS, too_large
from mxft.deploy.serving.front import JOB

PATIENCE = 1.0  # seconds for which a connection keeps its place against new ones
TICK = 0.25     # seconds between two looks at the deadlines
LINGER = 0.5    # seconds that a silent connection is left open for while the service is being stopped


class Server(TcpWSGIServer):
    """Waitress' server with the limits of `ServingOptions`, and an orderly end.

    Parameters
    ----------
    front : mxft.deploy.serving.front.Front
    log : mxft.deploy.serving.access_log.AccessLog
    application, **more
        As waitress makes it: see `waitress.server.create_server`.
    """

    def __init__(self, front, log, application, **more):
        self.front, self.log, self._looked, self._until = front, log, 0.0, None
        super().__init__(application, **more)
        self.channel_class = self._welcome
        front.metrics.watch(connections=lambda: len(self.active_channels))

    def run(self):
        """Carry the connections until `end` has come to its end; in a thread of its own."""
        while not self._ended():
            wasyncore.loop(timeout=TICK, use_poll=True, map=self._map, count=1)
            if time.monotonic() - self._looked >= TICK:
                self._looked = time.monotonic()
                self._look()

    def end(self, grace):
        """Take no new connection, answer the requests under way within `grace` seconds, and let `run` return."""
        self._until = time.monotonic() + grace
        self.front.stopping.set()
        self.pull_trigger()

    def _ended(self):
        """Whether the service is being stopped and nothing is under way, or the time for it is over."""
        if self._until is None:
            return False
        if self.accepting:
            self._close_the_door()
        for channel in list(self.active_channels.values()):
            if channel.is_silent and channel.waited >= LINGER:
                channel.handle_close()
        return not self.active_channels or time.monotonic() > self._until

    def _close_the_door(self):
        """Close the listening socket, behind those that the system has let in already."""
        while self._one_more():
            pass
        self.accepting = False
        wasyncore.dispatcher.close(self)

    def _one_more(self):
        before = len(self.active_channels)
        self.handle_accept()
        return len(self.active_channels) > before

    def _welcome(self, server, connection, address, adj, map=None):
        """Take a new connection in, or refuse it where there is no place and nobody who could make room."""
        limits, channels = self.front.options, self.active_channels.values()
        if not limits.is_proxy(address[0]):
            own = [channel for channel in channels if channel.household == household(address[0])]
            if len(own) >= limits.per_address and not self._make_room(own, "address"):
                return self._turn_away(connection, "address")
        if len(channels) >= limits.connections and not self._make_room(channels, "connections"):
            return self._turn_away(connection, "connections")
        return _Channel(server, connection, address, adj, map=map)

    def _make_room(self, channels, reason):
        """Close the one of some connections that has been waited for longest; return whether there is one."""
        waiting = [channel for channel in channels if not channel.requests
                   and (channel.waited >= PATIENCE or channel.is_gone)]
        if not waiting:
            return False
        max(waiting, key=lambda channel: (channel.is_gone, channel.waited)).give_up(reason)
        return True

    def _turn_away(self, connection, reason):
        self.front.metrics.refused.labels(reason).inc()
        try:
            connection.setblocking(False)
            connection.send(_raw(503, "Service Unavailable", "There are too many connections; try again."))
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1 << 16)  # what came already would else have the system reset the connection
        except OSError:
            pass
        connection.close()

    def _look(self):
        """Close the connections whose time is over."""
        limit = self.front.options.read_timeout
        for channel in list(self.active_channels.values()):
            if not channel.requests and channel.waited > limit:
                channel.give_up("deadline")


class _Channel(HTTPChannel):
    """A connection that knows since when it is waited for, and ends so that its last answer is read.

    A connection that is closed while something of the other side's is on its way is reset by the system, and an answer
    the other side has not read yet is lost: the refusal of a file that is too large, while it is still being sent. So
    only the sending side is shut, and what comes is dropped until the other side closes, or its time is over.
    """

    def __init__(self, server, connection, address, adj, map=None):
        self._since, self.household, self._is_shut = time.monotonic(), household(address[0]), False
        super().__init__(server, connection, address, adj, map=map)
        self.task_class, self.error_task_class = _Task, _JsonError

    @property
    def waited(self):
        """Seconds since it was opened, since the first byte of its request, or since its last answer."""
        return time.monotonic() - self._since

    @property
    def is_silent(self):
        """Whether nothing is under way: no request, no part of one read or not, no answer that is still being sent."""
        return not (self.requests or self.request is not None or self.total_outbufs_len
                    or (self._peek() and not self._is_shut))

    @property
    def is_gone(self):
        """Whether the other side has closed it, and the news was not yet read."""
        return self._peek() == b""

    def _peek(self):
        """Return the next byte that is to be read, None where there is none, b"" where there will be none."""
        try:
            return self.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def received(self, data):
        """Take bytes of a request in, and note when the first of it came; after the last answer they are dropped."""
        if self._is_shut:
            return False
        before, more = self.request, super().received(data)
        if self.request is not before:
            self._since = time.monotonic()
        return more

    def service(self):
        """Answer one request."""
        super().service()
        self._since = time.monotonic()

    def handle_close(self):
        """Close it; after the last answer only this side of it, until the other one does."""
        if not (self.will_close and self._shut()):
            super().handle_close()

    def _shut(self):
        """Shut the sending side; return whether that is new, and the other side still there."""
        self.will_close = False
        if self._is_shut:
            return False
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        self._is_shut, self.request, self._since = True, None, time.monotonic()
        return True

    def give_up(self, reason):
        """Close it, with a word to whoever still reads; in the thread of `Server.run`."""
        server = self.server
        if self.request is not None:
            server.front.metrics.refused.labels(reason).inc()
            sentence = ("The request did not come whole in time." if reason == "deadline" else
                        "There are too many connections, and this request had not come whole; try again.")
            server.log.write(address=self.addr[0], method="", path="", status=408, ms=round(1e3 * self.waited),
                             received=0, bytes=0, queue_ms=0, batch=0)
            try:
                self.socket.send(_raw(408, "Request Timeout", sentence))
                self.socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        self.handle_close()


def _raw(status, reason, sentence):
    body = json.dumps({"error": sentence}).encode() + b"\n"
    retry = "Retry-After: 2\r\n" if status == 503 else ""
    return (f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            f"{retry}Connection: close\r\n\r\n").encode() + body


class _Counted:
    """A task that is counted and logged when it is done."""

    def service(self):
        """Answer the request."""
        began = time.monotonic()
        try:
            super().service()
        finally:
            self._note(time.monotonic() - began)

    def build_response_header(self):
        """Return the head of the answer; while the service is being stopped it is the last of its connection."""
        if self.channel.server.front.stopping.is_set():
            self.set_close_on_finish()
        return super().build_response_header()

    def _note(self, seconds):
        server, request = self.channel.server, self.request
        environ = getattr(self, "environ", None) or {}
        job, status = environ.get(JOB), int(self.status.split()[0])
        path = getattr(request, "path", "") or ""
        server.front.metrics.count(path, status, seconds)
        server.log.write(address=environ.get("REMOTE_ADDR", self.channel.addr[0]),
                         method=getattr(request, "command", "") or "", path=path, status=status,
                         ms=round(1e3 * seconds, 1), received=getattr(request, "body_bytes_received", 0),
                         bytes=self.content_bytes_written, queue_ms=round(job.queue_ms, 1) if job else 0,
                         batch=job.batch if job else 0)


class _Task(_Counted, WSGITask):
    pass


class _JsonError(_Counted, ErrorTask):
    """What waitress refuses before the application sees it, as the application would."""

    def execute(self):
        """Write the refusal."""
        error = self.request.error
        sentence = too_large(self.channel.adj.max_request_body_size - 1) if error.code == 413 else \
            f"{error.reason}: {error.body}."
        body = json.dumps({"error": sentence}).encode() + b"\n"
        self.status = f"{error.code} {error.reason}"
        self.response_headers += [("Content-Type", "application/json"), *HEADERS.items()]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)
