"""Where the zoo keeps its files, and the mirrors of the user's own that are asked first."""
import logging
import os

from mxft.files.cache import cache_folder, mxnet_home

LOG = logging.getLogger("mxft.progress")

__all__ = ["MIRRORS_VARIABLE", "cache_folder", "mxnet_home", "named_base", "own_mirrors", "say", "secure_first"]

MIRRORS_VARIABLE = "MXFT_MIRRORS"


def own_mirrors(*locations):
    """Return the addresses below the user's own bases, which may be laid out as the origin or flat."""
    bases = [base.strip() for base in os.environ.get(MIRRORS_VARIABLE, "").split(",") if base.strip()]
    return [base.rstrip("/") + "/" + location for base in bases for location in dict.fromkeys(locations)]


def secure_first(urls):
    """Return published addresses with those of https before the others, otherwise in their order.

    Examples
    --------
    >>> secure_first(["http://a/x", "https://b/x"])
    ('https://b/x', 'http://a/x')
    """
    return tuple(sorted(urls, key=lambda url: not url.startswith("https:")))


def named_base(variable):
    """Return the base address an environment variable names, as a list of none or one."""
    base = os.environ.get(variable)
    return [base.rstrip("/") + "/"] if base else []


def say(text):
    """Tell the user something on stderr, whatever `progress` is."""
    LOG.info(text)
