"""One http(s) address into a part file: asked with Range where an earlier part can be continued.

Follows RFC 9110, sections 13.1.5 (If-Range) and 14 (Range). What comes is checked against what was announced, and a web
page that came in place of the file is recognised before a byte of it is kept.
"""
import contextlib
import json
import os
import re
import shutil
from dataclasses import dataclass, field
from typing import Callable, Optional

from mxft.files.slow_server import TooSlow, least_rate
from mxft.files.staging import no_link
from mxft.files.whole import SPARE_BYTES, require_space
from mxft.machine.bars import is_watched, open_bar

CONNECT_SECONDS, READ_SECONDS = 10, 60
CHUNK = 1 << 14
MOST_BYTES = 32 << 30  # of a file whose size neither we nor the server know
_PAGE = re.compile(rb"^(?:\xef\xbb\xbf)?\s*(?:<!doctype\s+html|<html|<head|<!--)", re.IGNORECASE)
_PAGE_SUFFIXES = (".html", ".htm")


class Refused(Exception):
    """This mirror cannot give the file; the next one may."""


class Interrupted(Exception):
    """This mirror may give the file if it is asked again."""


@dataclass(frozen=True)
class Wanted:
    """The file to be had: final path, what must be true of it, and the names it has while it is under way."""

    path: str
    size: Optional[int] = None
    hashes: dict = field(default_factory=dict)
    check: Optional[Callable] = None
    progress: bool = True

    @property
    def part(self):
        return self.path + ".part"

    @property
    def note(self):
        return self.part + ".json"

    def discard_part(self):
        """Remove the part and the note about it, where they are."""
        for name in (self.part, self.note):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)


def stream(url, wanted):
    """Ask once and append what comes to the part file; return whether it continued an earlier part."""
    import requests

    have, note = resume_point(url, wanted)
    if have and have == note["total"]:
        return True
    headers = {"Accept-Encoding": "identity", "User-Agent": "mxft"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if note["validator"] and note["url"] == url:
            headers["If-Range"] = note["validator"]
    try:
        with requests.get(url, headers=headers, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)) as response:
            _refuse_open_redirect(response, wanted)
            start, total = _agree(response, have, note, wanted)
            with least_rate(response, CHUNK) as rate:
                _append(response, url, start, total, wanted, rate)
            return start > 0
    except TooSlow as error:
        raise Interrupted(str(error)) from None
    except requests.exceptions.RequestException as error:
        hopeless, reason = _network_reason(error)
        raise (Refused if hopeless else Interrupted)(reason) from None


def _refuse_open_redirect(response, wanted):
    """Refuse a redirect from https to http, on which anybody may answer, where no hash tells the file."""
    addresses = [one.url for one in (*response.history, response)]
    for before, after in zip(addresses, addresses[1:]):
        if before.startswith("https:") and not after.startswith("https:") and not wanted.hashes:
            raise Refused(f"redirected from https to {after.partition('?')[0]}, which anybody on the way can answer, "
                          "and no hash of the file is known")


def resume_point(url, wanted):
    """Return ``(bytes that can be kept, note about them)``; 0 where nothing proves they are of the same file."""
    try:
        have = os.path.getsize(wanted.part)
        with open(wanted.note, encoding="utf-8") as f:
            note = json.load(f)
        proven = bool(wanted.hashes) or (note["url"] == url and bool(note["validator"]))
        return (have if proven else 0), note
    except (OSError, ValueError, KeyError, TypeError):
        return 0, {}


def _agree(response, have, note, wanted):
    """Return ``(first byte the answer brings, total bytes or None)``, or refuse the answer."""
    status = response.status_code
    if status in (408, 425, 429) or status >= 500:
        raise Interrupted(f"HTTP {status} {response.reason}")
    if status == 416 or (status == 206 and not have):
        wanted.discard_part()
        raise Interrupted(f"HTTP {status} {response.reason}: the part that was kept does not fit")
    if status not in (200, 206):
        raise Refused(f"HTTP {status} {response.reason}")
    if status == 206:
        match = re.match(r"bytes (\d+)-(\d+)/(\d+)$", response.headers.get("Content-Range", ""))
        start, total = (int(match.group(1)), int(match.group(3))) if match else (None, None)
        if start != have or total != note["total"]:
            wanted.discard_part()
            raise Interrupted(f"the server continued at byte {start} of {total}, expected byte {have} of "
                               f"{note['total']}")
    else:
        start, length = 0, response.headers.get("Content-Length", "")
        # A compressed transfer has the length of what travels, not of the file.
        total = int(length) if length.isdigit() and not response.headers.get("Content-Encoding") else None
    if wanted.size is not None and total is not None and total != wanted.size:
        raise Refused(f"size: expected {wanted.size:,} bytes, the server has {total:,}")
    return start, total


def _append(response, url, start, total, wanted, rate):
    chunks = response.iter_content(CHUNK)
    first = next(chunks, b"")
    if not start:
        _refuse_page(response, first, wanted)
    if total is not None:
        require_space(total - start, os.path.dirname(wanted.path), f"for {os.path.basename(wanted.path)}")
    _write_note(url, response, total, wanted)
    limit = _limit(total, wanted)
    with open(wanted.part, "r+b" if start else "wb", opener=no_link) as out, open_bar(
            total=total, initial=start, unit="B", unit_scale=True, unit_divisor=1024, leave=False,
            desc=os.path.basename(wanted.path), disable=not (wanted.progress and is_watched())) as bar:
        out.seek(start)
        while first:
            if out.tell() + len(first) > limit:
                wanted.discard_part()
                raise Refused(f"size: expected at most {limit:,} bytes, the server sent more; what came was deleted")
            out.write(first)
            bar.update(len(first))
            rate.count(len(first))
            first = next(chunks, b"")
        end = out.tell()
        out.flush()
        os.fsync(out.fileno())
    rate.require()
    if total is not None and end < total:
        raise Interrupted(f"only {end:,} of {total:,} bytes came")


def _limit(total, wanted):
    """Return how many bytes may come: as many as the file has, or what there is room for."""
    if wanted.size is not None:
        return wanted.size
    if total is not None:
        return total
    return max(min(MOST_BYTES, shutil.disk_usage(os.path.dirname(wanted.path)).free - SPARE_BYTES), 0)


def _refuse_page(response, first, wanted):
    is_declared = response.headers.get("Content-Type", "").lower().startswith("text/html")
    page = web_page(first, wanted.path, is_declared)
    if page:
        raise Refused(f"{page} came instead of the file")


def web_page(start, path, is_declared=False):
    """Return ``"a web page titled …"`` for the first bytes of one, None for another file or where one is wanted.

    Parameters
    ----------
    start : bytes
    path : str
        The wanted file's name: one that ends in .html is meant to be a page.
    is_declared : bool
        Whether the server calls it a page.
    """
    if path.lower().endswith(_PAGE_SUFFIXES) or not (is_declared or _PAGE.match(start)):
        return None
    title = re.search(rb"<title[^>]*>\s*([^<]{1,80})", start, re.IGNORECASE)
    return "a web page" + (f" titled {title.group(1).decode('utf-8', 'replace').strip()!r}" if title else "")


def _write_note(url, response, total, wanted):
    tag = response.headers.get("ETag", "")
    # If-Range compares strongly: a weak tag never matches (RFC 9110, 13.1.5).
    validator = response.headers.get("Last-Modified", "") if tag.startswith("W/") or not tag else tag
    with open(wanted.note, "w", encoding="utf-8", opener=no_link) as f:
        json.dump({"url": url, "validator": validator, "total": total}, f)


def _network_reason(error):
    """Return ``(asking again is pointless, reason in a few words)`` for an exception of requests."""
    import requests

    text = str(error)
    if "NameResolution" in text or "getaddrinfo" in text or "Name or service not known" in text:
        return True, "host name not found"
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True, f"no connection within {CONNECT_SECONDS} seconds"
    if isinstance(error, requests.exceptions.ProxyError):
        return True, "the proxy gave no connection"
    if "NewConnectionError" in text:
        return True, "connection refused" if "refused" in text else "no connection"
    if isinstance(error, requests.exceptions.Timeout) or "Read timed out" in text:
        return False, f"nothing came for {READ_SECONDS} seconds"
    if isinstance(error, (requests.exceptions.SSLError, requests.exceptions.InvalidURL,
                          requests.exceptions.InvalidSchema, requests.exceptions.TooManyRedirects)):
        return True, " ".join(text.split())[:160]
    return False, "the connection broke off"

