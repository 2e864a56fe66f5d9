"""What a launcher starts: one process a part, its variables, its host and its command."""
import dataclasses
import os
import socket
import sys

from mxft.errors import InputError

_FORWARDED = ("PYTHONPATH", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")           # to other machines
_FORWARDED_PREFIXES = ("DMLC_", "PS_", "MXNET_", "MXFT_", "OMP_", "NCCL_")
HERE = "127.0.0.1"


@dataclasses.dataclass(frozen=True)
class Member:
    """One process of a group.

    Parameters
    ----------
    role : {"scheduler", "server", "worker"}
    number : int
        Among those of its role.
    variables : dict of str to str
        What it finds in its environment beside the launcher's own.
    command : list of str
    host : str or None
        None for the launcher's own machine.
    """

    role: str
    number: int
    variables: dict
    command: list
    host: str = None

    @property
    def name(self):
        """``scheduler``, ``server 0``, ``worker 1``."""
        return self.role if self.role == "scheduler" else f"{self.role} {self.number}"


def plan_group(command, workers, servers, hosts=(), address=HERE, port=None):
    """Say which processes a group has.

    Parameters
    ----------
    command : list of str
        Of the workers; servers and scheduler run mxft's own.
    workers, servers : int
    hosts : sequence of str
        Servers and workers are dealt to them in turn; the launcher's own machine where it is empty.
    address : str
        Of the launcher's machine, where the scheduler runs; the others must reach it.
    port : int, optional
        Of the scheduler; a free one when None.

    Returns
    -------
    list of Member
        The scheduler first, then servers, then workers.

    Examples
    --------
    >>> [member.name for member in plan_group(["python", "train.py"], 2, 1)]
    ['scheduler', 'server 0', 'worker 0', 'worker 1']
    """
    ports = free_ports(1 + (0 if hosts else servers + workers))
    common = {"DMLC_PS_ROOT_URI": address, "DMLC_PS_ROOT_PORT": str(port or ports[0]),
              "DMLC_NUM_WORKER": str(workers), "DMLC_NUM_SERVER": str(servers)}
    if not hosts:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        common["DMLC_NODE_HOST"] = address
        common["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS") or str(max(1, cores // workers))
    serving = [sys.executable, "-m", "mxft.distributed.serving"]
    members = [Member("scheduler", 0, {**common, "DMLC_ROLE": "scheduler"}, serving)]
    for role, count, what in (("server", servers, serving), ("worker", workers, list(command))):
        for number in range(count):
            own = {"DMLC_ROLE": role}
            if not hosts:  # ps-lite gives the lower port the lower rank
                own["PORT"] = str(ports[len(members)])
            host = hosts[number % len(hosts)] if hosts else None
            members.append(Member(role, number, {**common, **own}, what, host))
    return members


def free_ports(count):
    """Return that many different ports nobody listens on, in growing order."""
    with_ports = [socket.socket() for _ in range(count)]
    try:
        for each in with_ports:
            each.bind(("", 0))
        return sorted(each.getsockname()[1] for each in with_ports)
    finally:
        for each in with_ports:
            each.close()


def read_hosts(text):
    """Return the hosts of ``-H``: a file with one a line (``#`` begins a comment), or names with commas.

    Raises
    ------
    InputError
        There are none, or one looks like an option of ssh.
    """
    if not text:
        return []
    if os.path.isfile(text):
        with open(text, encoding="utf-8") as f:
            lines = [line.split("#")[0].split() for line in f]
        hosts = [words[0] for words in lines if words]
    else:
        hosts = [word.strip() for word in text.split(",") if word.strip()]
    bad = [host for host in hosts if host.startswith("-") or not host.isprintable() or " " in host]
    if not hosts or bad:
        raise InputError(f"hosts: expected names with commas, or a file with one a line, received hosts={text!r}"
                         + (f" with {bad[0]!r}" if bad else " with none"))
    return hosts


def address_towards(host):
    """Return the address of this machine that `host` would see.

    Raises
    ------
    InputError
        The name is unknown here, or there is no way to it.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host.rpartition("@")[2], 9))  # sends nothing
        except OSError as error:
            raise InputError(f"hosts: expected one that can be reached from here, received host={host!r} "
                             f"({(error.strerror or str(error)).lower()}); `address` names this machine's own "
                             "address") from None
        return probe.getsockname()[0]


def forwarded_variables(environment=os.environ):
    """Return what other machines are told of this one's environment: paths, devices, and what steers MXNet."""
    return {name: value for name, value in sorted(environment.items())
            if name in _FORWARDED or name.startswith(_FORWARDED_PREFIXES)}
