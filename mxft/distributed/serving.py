"""What a server or the scheduler does: ``python -m mxft.distributed.serving``, until the workers are done.

Plain ``import mxnet`` under such a role serves too, but from the middle of the import, where an optimizer that is sent
over cannot import its own module.
"""
import os
import signal
import sys

from mxft.distributed.environment import prepare_heartbeats, read_part, role
from mxft.distributed.watching import PeerWatch
from mxft.errors import InputError


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
    del os.environ["DMLC_ROLE"]  # lest importing mxnet starts to serve
    from mxft.compat import mx

    os.environ["DMLC_ROLE"] = part.role
    store = mx.kv.create("dist")
    watch = PeerWatch(store, part.role, part)
    watch.start()
    from mxnet.kvstore.kvstore_server import KVStoreServer

    try:
        KVStoreServer(store).run()
    except mx.base.MXNetError as error:
        if "bind failed" not in str(error):
            raise
        raise InputError(f"{part.role}: expected a free port at an address of this machine, received {part.root}; "
                         "python tools/launch.py --address and --port choose others") from None
    watch.stop()
    return 0


def serves():
    """Whether this process is a server or the scheduler, and no worker."""
    return role() in ("server", "scheduler")


if __name__ == "__main__":
    from mxft.command import run_command

    sys.exit(run_command(f"mxft {role() or 'serving'}", lambda _: serve()))
