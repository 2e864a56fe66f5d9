"""A web server on this machine that misbehaves on demand."""
import contextlib
import http.server
import re
import threading

PAGE = b"<!DOCTYPE html>\n<html><head><title>Moved away</title></head><body>sorry</body></html>"


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `files`; `faults` are taken one a request and say how that request goes wrong."""

    protocol_version = "HTTP/1.1"
    etag = '"one"'

    def do_GET(self):
        self.server.seen.append((self.path, dict(self.headers)))
        fault = self.server.faults.pop(0) if self.server.faults else None
        body = self.server.files.get(self.path.lstrip("/"))
        if body is None or fault in (404, 500, 503):
            return self.answer(fault or 404, b"no")
        if fault == "hang":
            self.server.released.wait(10)
            self.close_connection = True
            return None
        if fault == "page":
            return self.answer(200, PAGE, {"Content-Type": "text/html; charset=utf-8"})
        wanted = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range") in (None, self.server.etag)
        headers = {"ETag": self.server.etag} if self.server.etag else {}
        if wanted and same and fault != "no range":
            start = int(wanted.group(1))
            shift = 7 if fault == "wrong range" else 0
            headers["Content-Range"] = f"bytes {start + shift}-{len(body) - 1}/{len(body)}"
            return self.answer(206, body[start:], headers, fault)
        return self.answer(200, body, headers, fault)

    def answer(self, status, body, headers=None, fault=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if fault == "no length":
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if fault == "half":
            body, self.close_connection = body[:len(body) // 2], True
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class QuietServer(http.server.ThreadingHTTPServer):
    """A client that hangs up early, as one that was sent a web page does, is no event."""

    def handle_error(self, request, address):
        pass


@contextlib.contextmanager
def running(web):
    """Serve in a thread for the length of the block; give the server its ``base`` and ``released``, set at the end."""
    web.released = threading.Event()
    web.base = f"http://127.0.0.1:{web.server_address[1]}/"
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        web.released.set()
        web.shutdown()
        web.server_close()
        thread.join()


@contextlib.contextmanager
def serving(files):
    """Yield a server of `files` ({path: bytes}) with ``base``, ``files``, ``faults``, ``seen`` and ``etag``."""
    web = QuietServer(("127.0.0.1", 0), Server)
    web.files, web.faults, web.seen, web.etag = dict(files), [], [], '"one"'
    with running(web):
        yield web
