"""One file from the first mirror that has it: resumed, verified and renamed into place, or not there at all.

Reproduces what ``mx.test_utils.download`` and the tutorial's ``urlretrieve`` are for, and adds what they lack: mirrors,
resuming, hashes, and the recognition of a web page or a short file that came in place of the real one.
"""
import hashlib
import logging
import os
import shutil
import time
from urllib.parse import urlsplit
from urllib.request import url2pathname

from mxft.errors import InputError
from mxft.files.http_stream import Interrupted, Refused, Wanted, resume_point, stream, web_page
from mxft.files.locks import Lock
from mxft.files.whole import require_folder, require_space, whole_file

LOG = logging.getLogger("mxft.progress")

ATTEMPTS = 3
RETRY_SECONDS = 1.0


class FetchError(InputError):
    """No mirror gave `what` (exit 2). ``tried`` is a list of ``(url, reason)``, ``hint`` says what to do instead."""

    def __init__(self, what, tried, hint=""):
        lines = [f"cannot fetch {what}: expected one of these addresses to give it, received"]
        lines += [f"  {url}: {reason}" for url, reason in tried] or ["  no address to try"]
        super().__init__("\n".join(lines + ([hint] if hint else [])))
        self.tried, self.hint = tried, hint


def fetch(urls, path, size=None, sha256=None, sha1=None, md5=None, progress=True, hint="", check=None):
    """Put a verified file under `path` from the first of `urls` that gives it, and return `path`.

    Parameters
    ----------
    urls : str or sequence of str
        Mirrors in the order to try: ``http://``, ``https://``, ``file://`` or a plain local path.
    path : str or os.PathLike
        Where the file goes. While it is under way it is ``path.part``, with ``path.part.json`` saying whose it is.
    size : int, optional
        Bytes the whole file has.
    sha256, sha1, md5 : str, optional
        Hex digests; each that is given must agree.
    progress : bool
        Say on stderr what is fetched, and draw a bar where stderr is a terminal.
    hint : str
        Last line of the message when no mirror has the file: how to give a local one.
    check : callable, optional
        ``check(path)`` returns None for a file of the right kind, otherwise what is wrong with it, as text.

    Returns
    -------
    str
        `path`. A right file that stands there already is not fetched again and no network is touched.

    Raises
    ------
    FetchError
        No mirror gave the file; every address is listed with its reason.
    InputError
        A wrong file stands under `path` (it is named and left alone), a scheme is not one of the above, or the disk
        is too small.

    Notes
    -----
    Of two processes that fetch the same file into the same folder one waits until the other has it, or has given up.
    A body that is longer than the file, or comes at less than 1 kB a second, is cut off while it comes; a redirect
    from https to http is followed only where a hash tells the file.

    Examples
    --------
    >>> fetch("https://example.org/a.tar", "/data/a.tar", size=1024)   # doctest: +SKIP
    '/data/a.tar'
    """
    urls = [urls] if isinstance(urls, (str, os.PathLike)) else list(urls)
    urls = [os.fspath(url) for url in urls]
    hashes = {name: value.lower() for name, value in (("sha256", sha256), ("sha1", sha1), ("md5", md5)) if value}
    wanted = Wanted(os.path.abspath(os.fspath(path)), size, hashes, check, progress)
    for url in urls:
        _require_known_scheme(url)
    lock = Lock(wanted.part + ".lock", f"download of {wanted.path}")
    if os.path.exists(wanted.path):
        lock.clear()
        return _require_right(wanted)
    require_folder(os.path.dirname(wanted.path))
    lock.wait(lambda holder: LOG.info(f"waiting for {holder}, which fetches {os.path.basename(wanted.path)}"))
    with lock:
        if os.path.exists(wanted.path):
            return _require_right(wanted)
        return _first_that_gives(urls, wanted, hint)


def _first_that_gives(urls, wanted, hint):
    tried = []
    for url in urls:
        try:
            _copy_local(url, wanted) if _local_path(url) is not None else _download(url, wanted)
            return wanted.path
        except Refused as reason:
            tried.append((url, str(reason)))
    raise FetchError(os.path.basename(wanted.path), tried, hint)


def flaw(path, size=None, hashes=None, check=None):
    """Return what is wrong with the file `path` as text ("size: expected …, received …"), or None if it is right."""
    with open(path, "rb") as f:
        page = web_page(f.read(1 << 12), path[:-len(".part")] if path.endswith(".part") else path)
    if page:
        return f"expected the file, received {page}"
    received = os.path.getsize(path)
    if size is not None and received != size:
        return f"size: expected {size:,} bytes, received {received:,}"
    digests = {name: hashlib.new(name, usedforsecurity=False) for name in hashes or {}}
    if digests:
        with open(path, "rb") as f:
            for block in iter(lambda: f.read(1 << 20), b""):
                for digest in digests.values():
                    digest.update(block)
    for name, digest in digests.items():
        if digest.hexdigest() != hashes[name].lower():
            return f"{name}: expected {hashes[name].lower()}, received {digest.hexdigest()}"
    return check(path) if check else None


def _require_right(wanted):
    wrong = flaw(wanted.path, wanted.size, wanted.hashes, wanted.check) if os.path.isfile(wanted.path) else (
        "expected a file, received a folder")
    if wrong:
        raise InputError(f"{wanted.path} is not the file it should be: {wrong}; it was left as it is: move it away "
                         "or delete it, then run the same command again")
    return wanted.path


def _local_path(url):
    """Return the path a local address stands for, None for http and https."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return url2pathname(parts.path)
    # One letter is a Windows drive, not a scheme.
    return url if len(parts.scheme) < 2 or "://" not in url else None


def _require_known_scheme(url):
    if _local_path(url) is None and urlsplit(url).scheme.lower() not in ("http", "https"):
        raise InputError(f"cannot fetch {url}: expected an http://, https:// or file:// address or a path, "
                         f"received scheme={urlsplit(url).scheme!r}")


def _copy_local(url, wanted):
    source = _local_path(url)
    if not os.path.isfile(source):
        raise Refused("no such file")
    wrong = flaw(source, wanted.size, wanted.hashes, wanted.check)
    if wrong:
        raise Refused(wrong)
    require_space(os.path.getsize(source), os.path.dirname(wanted.path), f"for {os.path.basename(wanted.path)}")
    with open(source, "rb") as f, whole_file(wanted.path) as out:
        shutil.copyfileobj(f, out, 1 << 20)


def _download(url, wanted):
    """Fetch one http(s) address in a bounded number of attempts, each continuing where the last one stopped."""
    if wanted.progress:
        LOG.info(f"fetching {url}")
    reason = None
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(RETRY_SECONDS * 2 ** (attempt - 1))
        try:
            resumed = stream(url, wanted)
            _finish(wanted, resumed)
            return
        except Interrupted as error:
            reason = str(error)
    kept, note = resume_point(url, wanted)
    if not kept:
        # Another mirror's part may still be continued there.
        if note.get("url") == url:
            wanted.discard_part()
        raise Refused(reason)
    raise Refused(f"{reason}; {kept:,} bytes are kept in {wanted.part}: the same command continues from there")


def _finish(wanted, resumed):
    """Rename the whole part into place, or throw it away and say what is wrong with it."""
    wrong = flaw(wanted.part, wanted.size, wanted.hashes, wanted.check)
    if not wrong and not os.path.getsize(wanted.part):
        wrong = "an empty file came"
    if wrong:
        wanted.discard_part()
        # A part of another version of the file is cured by starting again; a wrong file is not.
        raise (Interrupted if resumed else Refused)(f"{wrong}; the download was deleted")
    os.replace(wanted.part, wanted.path)
    wanted.discard_part()
