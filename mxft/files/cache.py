"""Where mxft keeps files of its own: beside MXNet's."""
import os


def mxnet_home():
    """Return ``$MXNET_HOME`` or ``~/.mxnet``, where MXNet and GluonCV keep their own files."""
    return os.path.expanduser(os.environ.get("MXNET_HOME") or os.path.join("~", ".mxnet"))


def cache_folder(cache=None):
    """Return `cache`, or ``$MXNET_HOME/mxft``, or ``~/.mxnet/mxft``."""
    return os.path.abspath(os.path.expanduser(cache) if cache else os.path.join(mxnet_home(), "mxft"))
