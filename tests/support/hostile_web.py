"""A mirror that does harm: endless and slow bodies, wrong lengths, redirects in circles and to other schemes, bombs."""
import contextlib
import gzip
import http.server

from tests.support.web import running

PAGE = b"<!DOCTYPE html>\n<html><head><title>Log in</title></head><body>please</body></html>"
BOMB = gzip.compress(bytes(64 << 20))  # 64 MB of zeros in 64 kB


class HostileServer(http.server.BaseHTTPRequestHandler):
    """Does what the path's first part says; the body is the server's `content`."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """Answer as ``/KIND/name`` says."""
        self.server.requests.append(self.path)
        with contextlib.suppress(OSError):
            getattr(self, "send_" + self.path.split("/")[1])()

    def head(self, length=None, status=200, **headers):
        """Send a head; without a length the connection's end is the body's."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.send_header("Connection", "close")
        self.close_connection = True
        self.end_headers()

    def send_good(self):
        self.head(len(self.server.content))
        self.wfile.write(self.server.content)

    def send_endless(self):
        self.head()
        while not self.server.released.is_set():
            self.wfile.write(bytes(1 << 14))
            self.server.sent += 1 << 14

    def send_long(self):
        self.head(len(self.server.content) + 1)
        self.wfile.write(self.server.content + b"x")

    def send_short(self):
        self.head(len(self.server.content))
        self.wfile.write(self.server.content[:len(self.server.content) // 2])

    def send_drip(self):
        self.head(len(self.server.content))
        for byte in self.server.content:
            if self.server.released.wait(0.02):
                return
            self.wfile.write(bytes([byte]))
            self.wfile.flush()

    def send_circle(self):
        self.head(0, 302, Location=self.path)

    def send_file(self):
        self.head(0, 302, Location=f"file://{self.server.secret}")

    def send_page(self):
        self.head(len(PAGE), Content_Type="text/html")
        self.wfile.write(PAGE)

    def send_bomb(self):
        self.head(len(BOMB), Content_Encoding="gzip")
        self.wfile.write(BOMB)

    def send_lines(self):
        self.send_response(200)
        while not self.server.released.is_set():
            self.wfile.write(b"X-A: " + b"a" * 1000 + b"\r\n")

    def log_message(self, *args):
        """Say nothing."""


class Web(http.server.ThreadingHTTPServer):
    """A client that hangs up is what these servers are for."""

    daemon_threads = True

    def handle_error(self, request, address):
        """Say nothing."""


@contextlib.contextmanager
def hostile(content, secret):
    """Yield a server with ``base``, ``requests`` and ``sent``; `secret` is a path it redirects to."""
    web = Web(("127.0.0.1", 0), HostileServer)
    web.content, web.secret, web.requests, web.sent = content, secret, [], 0
    with running(web):
        yield web
