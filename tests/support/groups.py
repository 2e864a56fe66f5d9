"""Groups of real processes in tests: started with a log, found by the part they take, waited for, seen to be gone."""
import os
import subprocess
import sys
import time


def start_logged(command, variables, log):
    """Start a command with `variables` in its environment; what it says goes behind what stands in the file `log`."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1", **variables}
    with open(log, "a") as f:
        return subprocess.Popen(command, env=environment, stdout=f, stderr=f)


def wait_for(log, text, count):
    """Wait, two minutes at most, until a log says `text` so often."""
    for _ in range(600):
        if log.exists() and log.read_text().count(text) >= count:
            return
        time.sleep(0.2)
    raise AssertionError(log.read_text())


def training_pids(tag, role):
    """Return the pids of processes of a role, None for any, whose environment has ``TAG=tag``; tethers apart."""
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as environ, open(f"/proc/{pid}/cmdline", "rb") as cmdline:
                variables, command = environ.read().split(b"\0"), cmdline.read()
        except OSError:
            continue
        if f"TAG={tag}".encode() in variables and b"tether" not in command:
            found += [int(pid)] * (role is None or f"DMLC_ROLE={role}".encode() in variables)
    return found


def left_of(pids):
    """Return those of some processes that neither end nor wait to be buried within 20 s."""
    for _ in range(200):
        pids = [pid for pid in pids if _is_alive(pid)]
        if not pids:
            break
        time.sleep(0.1)
    return pids


def _is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # the latter where it is buried between open and read
        return False
