"""Where the zoo keeps its files, and the mirrors of the user's own that are asked first."""
import os
import sys

MIRRORS_VARIABLE = "MXFT_MIRRORS"


def mxnet_home():
    """Return ``$MXNET_HOME`` or ``~/.mxnet``, where MXNet and GluonCV keep their own files."""
    return os.path.expanduser(os.environ.get("MXNET_HOME") or os.path.join("~", ".mxnet"))


def cache_folder(cache=None):
    """Return `cache`, or ``$MXNET_HOME/mxft``, or ``~/.mxnet/mxft``."""
    return os.path.abspath(os.path.expanduser(cache) if cache else os.path.join(mxnet_home(), "mxft"))


def own_mirrors(*locations):
    """Return the addresses below the user's own bases, which may be laid out as the origin or flat."""
    bases = [base.strip() for base in os.environ.get(MIRRORS_VARIABLE, "").split(",") if base.strip()]
    return [base.rstrip("/") + "/" + location for base in bases for location in dict.fromkeys(locations)]


def named_base(variable):
    """Return the base address an environment variable names, as a list of none or one."""
    base = os.environ.get(variable)
    return [base.rstrip("/") + "/"] if base else []


def say(text):
    """Tell the user something on stderr, whatever `progress` is."""
    print(text, file=sys.stderr)
