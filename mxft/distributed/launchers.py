"""How a member is started: here, over ssh, by Slurm's srun, or by hand."""
import os
import shlex
import subprocess
import sys

from mxft.distributed.plan import HERE, address_towards, forwarded_variables, plan_group
from mxft.errors import InputError

LAUNCHERS = ("local", "ssh", "slurm", "manual")


def start_command(member, launcher):
    """Return the command and the variables to start `member` with from this machine.

    Parameters
    ----------
    member : Member
    launcher : {"local", "ssh", "slurm", "manual"}

    Returns
    -------
    command : list of str
    variables : dict of str to str
    """
    tethered = [sys.executable, "-m", "mxft.distributed.tether", *member.command]
    if member.host is None:
        return tethered, {**member.variables, "PYTHONPATH": _python_path()}
    if launcher == "slurm":
        there = ["srun", "--nodes=1", "--ntasks=1", "--overlap", f"--nodelist={member.host}", "--export=ALL"]
        return [*there, *_with_variables(member, tethered)], {}
    line = f"cd {shlex.quote(os.getcwd())} && exec {shlex.join(_with_variables(member, tethered))}"
    return ["ssh", "-o", "BatchMode=yes", "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3", member.host,
            line], {}


def _with_variables(member, command):
    """Return `command` behind ``env NAME=VALUE …``."""
    variables = {**forwarded_variables(), **member.variables, "PYTHONPATH": _python_path()}
    return ["env", *(f"{name}={value}" for name, value in variables.items()), *command]


def _python_path():
    """Return PYTHONPATH with the folder this mxft was imported from in front: a checkout need not be installed."""
    own = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != own]
    return os.pathsep.join([own, *others])


def plan_for(launcher, command, workers, servers, hosts, address=None, port=None):
    """Return the members `launcher` starts (for ``manual``: is to be told of).

    Parameters
    ----------
    launcher : {"local", "ssh", "slurm", "manual"}
    command : list of str
    workers, servers : int
    hosts : list of str
    address : str, optional
        Of this machine; found by asking for the way to the first host when None.
    port : int, optional

    Raises
    ------
    InputError
        ssh without hosts, slurm outside an allocation, hosts for local.
    """
    if launcher == "local" and hosts:
        raise InputError(f"hosts: expected none with --launcher local, received {','.join(hosts)}; use --launcher ssh")
    if launcher == "ssh" and not hosts:
        raise InputError("hosts: expected -H host,host or a file of them with --launcher ssh, received none")
    if launcher == "slurm":
        hosts = hosts or _slurm_hosts()
    if launcher == "manual":
        hosts = hosts or [""]
        address = address or (address_towards(hosts[0]) if hosts[0] else _own_address())
    if hosts and not address:
        address = address_towards(hosts[0])
        if address.startswith("127.") and len(set(hosts)) > 1:
            raise InputError(f"address: expected one the other hosts can reach, received {address} for {hosts[0]}; "
                             "--address names this machine's own")
    return plan_group(command, workers, servers, hosts, address or HERE, port)


def _slurm_hosts():
    """Return the hosts of the allocation this runs in."""
    nodes = os.environ.get("SLURM_JOB_NODELIST", "")
    if not nodes:
        raise InputError("--launcher slurm: expected to run inside an allocation (sbatch or salloc), received no "
                         "SLURM_JOB_NODELIST")
    try:
        listed = subprocess.run(["scontrol", "show", "hostnames", nodes], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise InputError(f"--launcher slurm: expected scontrol to name the hosts of {nodes}, received {error}; "
                         "give them with -H") from None
    return listed.stdout.split()


def _own_address():
    """Return this machine's address on the way out, or the loopback where there is none."""
    try:
        return address_towards("192.0.2.1")  # reserved for documents: only the way there is asked for
    except InputError:
        return HERE


def describe_by_hand(members):
    """Return what to type where, for ``--launcher manual``."""
    lines = ["start these, each on the machine of your choice, with mxft and the data in the same places:"]
    for member in members[1:]:
        where = f" on {member.host}" if member.host else ""
        variables = {name: value for name, value in member.variables.items() if name != "PORT"}
        text = shlex.join(["env", *(f"{name}={value}" for name, value in variables.items()), *member.command])
        lines.append(f"\n# {member.name}{where}\n{text}")
    root = members[0].variables
    lines.append(f"\nthis process is the scheduler, at {root['DMLC_PS_ROOT_URI']}:{root['DMLC_PS_ROOT_PORT']}; it ends "
                 "with them")
    return "\n".join(lines)
