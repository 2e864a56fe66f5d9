"""A headless Chromium, driven over its DevTools protocol: enough to do on a page what a person does."""
import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

import requests

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
         "--remote-allow-origins=*", "--remote-debugging-port=0")
PATIENCE = 30  # seconds


def find_chromium():
    """Return the path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


@contextlib.contextmanager
def open_page(url):
    """Open `url` in a browser of its own; yield a Page."""
    import websocket

    profile = tempfile.mkdtemp(prefix="mxft-chromium-")
    browser = subprocess.Popen([find_chromium(), *FLAGS, f"--user-data-dir={profile}"], start_new_session=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port = _until(lambda: _port(profile))
        target = requests.put(f"http://127.0.0.1:{port}/json/new?{url}", timeout=PATIENCE).json()
        with contextlib.closing(websocket.create_connection(target["webSocketDebuggerUrl"], timeout=PATIENCE)) as s:
            page = Page(s)
            page.wait(f"location.href == {url!r} && document.readyState == 'complete'")
            yield page
    finally:
        os.killpg(browser.pid, signal.SIGKILL)  # the group it was given: Chromium is many processes
        browser.wait()
        shutil.rmtree(profile, ignore_errors=True)


class Page:
    """What can be done on an open page."""

    def __init__(self, connection):
        self._connection, self._last = connection, 0

    def call(self, method, **parameters):
        """Call a method of the DevTools protocol and return its result."""
        self._last += 1
        self._connection.send(json.dumps({"id": self._last, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._connection.recv())
            if message.get("id") == self._last:
                assert "error" not in message, message
                return message["result"]

    def value(self, expression):
        """Return what a JavaScript expression is worth."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, expression):
        """Wait until a JavaScript expression is true."""
        _until(lambda: self.value(expression), expression)

    def choose(self, selector, *paths):
        """Choose files in a file input, as its dialog does."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])

    def drop(self, selector, *paths):
        """Drag files from the desktop over an element, and let go."""
        x, y = self.value(f"(box => [box.x + box.width / 2, box.y + box.height / 2])"
                          f"(document.querySelector({selector!r}).getBoundingClientRect())")
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def picture(self, path, width, height, dark=False):
        """Save a screenshot of the page at a size, on light or dark."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme",
                                                           "value": "dark" if dark else "light"}])
        with open(path, "wb") as f:
            f.write(base64.b64decode(self.call("Page.captureScreenshot")["data"]))


def _port(profile):
    with contextlib.suppress(OSError, ValueError), open(os.path.join(profile, "DevToolsActivePort")) as f:
        return int(f.readline())
    return None


def _until(attempt, what="Chromium's port"):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = attempt()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {PATIENCE} seconds")
