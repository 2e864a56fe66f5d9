"""What a server or the scheduler does: ``python -m mxft.distributed.serving``, until the workers are done.

Plain ``import mxnet`` under such a role serves too, but from the middle of the import, where an optimizer that is sent
over cannot import its own module.
"""
import os
import signal
import sys

from mxft.distributed.environment import prepare_heartbeats, read_part, role
from mxft.distributed.watching import PeerWatch, end_process
from mxft.errors import InputError, last_line


def serve():
    """Serve under the role this process was given; return 0 when the workers have left.

    Raises
    ------
    InputError
        The variables of the role are missing or make no sense, or the scheduler's port is taken.

    Notes
    -----
    It reads no data and writes no file.
    """
    part = read_part("serving")
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the main thread is inside MXNet, where no Python handler runs
    prepare_heartbeats()
    del os.environ["DMLC_ROLE"]  # so that importing mxnet does not start to serve
    from mxft.compat import mx

    os.environ["DMLC_ROLE"] = part.role
    store = mx.kv.create("dist")
    end_at_the_first_error(store, part.role)
    watch = PeerWatch(store, part.role, part)
    watch.start()
    from mxnet.kvstore.kvstore_server import KVStoreServer

    try:
        KVStoreServer(store).run()
    except mx.base.MXNetError as error:
        if "bind failed" not in str(error):
            raise
        raise InputError(f"{part.role}: expected a free port at an address of this machine, received {part.root}; "
                         "mxft launch --address and --port choose others") from None
    watch.stop()
    return 0


def end_at_the_first_error(store, name):
    """Let a server whose optimizer raises end with status 3: it has no caller, and the workers would train on in vain.

    Parameters
    ----------
    store : mx.kvstore.KVStore
    name : str
        What this process is called in the message.
    """
    set_updater = store._set_updater

    def set_ending_updater(updater):
        def update(key, received, stored):
            try:
                updater(key, received, stored)
            except Exception as error:
                key = key.decode() if isinstance(key, bytes) else key
                end_process(f"{name}: the optimizer cannot update key {key}: {type(error).__name__}: "
                            f"{last_line(error)}")
        set_updater(update)

    store._set_updater = set_ending_updater


def serves():
    """Whether this process is a server or the scheduler, and no worker."""
    return role() in ("server", "scheduler")


if __name__ == "__main__":
    from mxft.command import run_command

    sys.exit(run_command(f"mxft {role() or 'serving'}", lambda _: serve()))
