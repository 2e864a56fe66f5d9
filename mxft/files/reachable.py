"""Whether any of some addresses can be reached, asked of all their hosts at once and within a few seconds."""
import os
import socket
import threading
import time
import urllib.request
from urllib.parse import urlsplit

SECONDS = 5.0


def any_reachable(urls, seconds=SECONDS):
    """Return whether a connection to the host of any of some addresses is accepted.

    Parameters
    ----------
    urls : iterable of str
        Addresses, or local paths.
    seconds : float
        How long to wait for the first answer.

    Returns
    -------
    bool
        True at once for a local path that exists. Where a proxy stands between, the proxy is asked.

    Notes
    -----
    That a host answers does not mean that it has the file. Names that do not resolve and connections that nobody
    answers are waited for in threads of their own, so that a silent network costs no more than `seconds`.

    Examples
    --------
    >>> any_reachable(["no/such/file", "http://127.0.0.1:9/x"], seconds=1)
    False
    """
    urls = list(urls)
    if any(os.path.exists(url) or url.startswith("file:") for url in urls):
        return True
    return _first_answer({_asked(urlsplit(url)) for url in urls if url.startswith(("http:", "https:"))}, seconds)


def _asked(parts):
    """Return host and port that a request for an address goes to: its own, or those of the proxy for it."""
    proxies = urllib.request.getproxies()
    proxy = None if urllib.request.proxy_bypass(parts.hostname or "") else proxies.get(parts.scheme, proxies.get("all"))
    if proxy:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _first_answer(hosts, seconds):
    """Return whether a host accepts a connection, as soon as one does, every one has failed, or time is up."""
    accepted, failed = threading.Event(), []

    def ask(address):
        try:
            socket.create_connection(address, timeout=seconds).close()
            accepted.set()
        except OSError:
            failed.append(address)

    for address in hosts:
        threading.Thread(target=ask, args=(address,), daemon=True).start()
    until = time.monotonic() + seconds
    while not accepted.wait(0.05) and len(failed) < len(hosts) and time.monotonic() < until:
        pass
    return accepted.is_set()
