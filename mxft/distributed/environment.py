"""What the variables ``DMLC_*`` say of this process's part; follows ps-lite's docs/env.md."""
import dataclasses
import os

from mxft.errors import InputError

ROLES = ("worker", "server", "scheduler")
HEARTBEAT_SECONDS = 2    # between two signs of life
SILENCE_SECONDS = 20     # after which a peer counts as dead; noticed by the scheduler first, by all others then
JOIN_SECONDS = 600       # for all processes to appear: the machines of a cluster may start minutes apart
_ADVICE = "mxft launch -n WORKERS -s SERVERS COMMAND starts them all"


@dataclasses.dataclass(frozen=True)
class Part:
    """The part a process takes.

    Parameters
    ----------
    role : {"worker", "server", "scheduler"}
    workers, servers : int
        In the whole group.
    root : str
        ``HOST:PORT`` of the scheduler.
    """

    role: str
    workers: int
    servers: int
    root: str


def role(environment=os.environ):
    """Return this process's role, None where nobody has given it one.

    Examples
    --------
    >>> role({"DMLC_ROLE": "server"})
    'server'
    """
    return environment.get("DMLC_ROLE") or None


def read_part(what, environment=os.environ):
    """Return the Part of this process.

    Parameters
    ----------
    what : str
        What asks, for the message: ``kvstore dist_sync``.
    environment : mapping

    Returns
    -------
    Part

    Raises
    ------
    InputError
        Without a launcher, where MXNet would wait for ever, or with variables that are missing or make no sense.
    """
    if role(environment) is None:
        raise InputError(f"{what}: expected to run under a launcher that sets DMLC_ROLE, received none; {_ADVICE}, or "
                         "use `kvstore` device on one machine")
    if role(environment) not in ROLES:
        raise InputError(f"{what}: expected one of {', '.join(ROLES)}, received DMLC_ROLE={role(environment)!r}")
    for name in ("DMLC_PS_ROOT_URI", "DMLC_PS_ROOT_PORT", "DMLC_NUM_WORKER", "DMLC_NUM_SERVER"):
        value = environment.get(name, "")
        number = name != "DMLC_PS_ROOT_URI"
        if not value or (number and not (value.isdecimal() and int(value))):
            raise InputError(f"{what}: expected {'a number of at least 1' if number else 'an address'}, received "
                             f"{name}={value or '(unset)'}; {_ADVICE}")
    return Part(role(environment), int(environment["DMLC_NUM_WORKER"]), int(environment["DMLC_NUM_SERVER"]),
                f"{environment['DMLC_PS_ROOT_URI']}:{environment['DMLC_PS_ROOT_PORT']}")


def seconds(name, default, environment=os.environ):
    """Return a time in whole seconds from the environment, `default` where it is unset, empty or no number above 0."""
    text = environment.get(name, "")
    return int(text) if text.isdecimal() and int(text) else default


def prepare_heartbeats(environment=os.environ):
    """Switch ps-lite's heartbeats on; to be called before a kvstore is made."""
    environment.setdefault("PS_HEARTBEAT_INTERVAL", str(HEARTBEAT_SECONDS))
    environment.setdefault("PS_HEARTBEAT_TIMEOUT", str(SILENCE_SECONDS))
