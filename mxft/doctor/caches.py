"""What mxft keeps on disk: downloaded models and data sets, and what recipes make beside the run."""
import os
import shutil

from mxft.doctor.check import OK, WARNING, Check
from mxft.zoo import cache_folder

_LEAST_FREE = 1 << 30


def caches():
    """Look at the size of every cache and at the room left on its disk."""
    home, here = cache_folder(), "work in a folder elsewhere"
    elsewhere = "set MXNET_HOME to a folder elsewhere"
    return [_cache("models", os.path.join(home, "models"), elsewhere),
            _cache("data sets", os.path.join(home, "datasets"), elsewhere),
            _cache("Gluon's models", os.path.join(os.path.dirname(home), "models"), elsewhere),
            _cache("data-cache", "data-cache", here),
            _cache("features", os.path.join("data-cache", "features"), here)]


def _cache(name, folder, elsewhere):
    folder = os.path.abspath(folder)
    files, size = _contents(folder)
    standing = _existing(folder)
    free = shutil.disk_usage(standing).free
    facts = {"folder": folder, "files": files, "bytes": size, "free_bytes": free}
    held = f"{files:,} file{'s' * (files != 1)}, {readable(size)}" if files else "nothing yet"
    text = f"{folder}: {held}"
    if not os.access(standing, os.W_OK | os.X_OK):
        return Check(name, WARNING, f"{text}; {standing} cannot be written to", elsewhere, facts)
    if free < _LEAST_FREE:
        return Check(name, WARNING, f"{text}; only {readable(free)} free", f"make room, or {elsewhere}", facts)
    return Check(name, OK, f"{text}, {readable(free)} free", facts=facts)


def _contents(folder):
    """Return the number of files below a folder and the sum of their bytes; what cannot be read does not count."""
    files = size = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                size += os.lstat(os.path.join(root, name)).st_size
                files += 1
            except OSError:
                continue
    return files, size


def _existing(folder):
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def readable(size):
    """Return a number of bytes in the unit people use, such as ``'1.4 GB'``."""
    for unit in ("bytes", "KB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"
