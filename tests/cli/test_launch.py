"""``mxft launch``: a whole group under one command, and how it ends."""
import dataclasses
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from mxft.cli import run_verb
from mxft.distributed.launchers import describe_by_hand, plan_for, start_command
from mxft.distributed.plan import Member, free_ports, read_hosts
from mxft.distributed.supervision import supervise
from mxft.errors import InputError
from tests.support.groups import left_of, start_logged, training_pids, wait_for

PY = sys.executable


def group(*scripts, serving="sleep 300"):
    """Return members that run shell scripts: a scheduler, a server, and a worker for each of `scripts`."""
    worker = [Member("worker", number, {}, ["sh", "-c", script]) for number, script in enumerate(scripts)]
    return [Member("scheduler", 0, {}, ["sh", "-c", serving]), Member("server", 0, {}, ["sh", "-c", serving]), *worker]


def run(members):
    return supervise(members, lambda member: start_command(member, "local"))


def test_output_carries_the_rank_line_by_line(capfd):
    said = "echo 'rank 5 of 9 workers, x' >&2; sleep 0.3; printf three"
    assert run(group("echo one; echo two >&2", said, serving="sleep 1")) == 0
    out, err = capfd.readouterr()
    assert sorted(out.splitlines()) == ["worker 0 | one", "worker 5 | three"]
    assert sorted(err.splitlines()) == ["worker 0 | two", "worker 5 | rank 5 of 9 workers, x"]


@pytest.mark.parametrize("script, status, how", [("exit 7", 7, ""), ("kill -KILL $$", 137, r" \(SIGKILL\)"),
                                                 ("kill -TERM $$", 143, r" \(SIGTERM\)")])
def test_one_that_fails_ends_all_with_its_status(script, status, how, capfd):
    assert run(group("sleep 300", script)) == status
    assert re.search(f"mxft launch: worker 1 ended with status {status}{how}; ending the other 3 processes",
                     capfd.readouterr().err)


def test_a_scheduler_that_fails_ends_all(capfd):
    assert run(group("sleep 300", serving="exit 4")) == 4
    assert re.search(r"mxft launch: (scheduler|server 0) ended with status 4; ending", capfd.readouterr().err)


def test_workers_whose_servers_have_left_do_not_wait_for_ever(capfd, monkeypatch):
    monkeypatch.setattr("mxft.distributed.supervision.FINISH_SECONDS", 0.5)
    assert run(group("sleep 300", serving="exit 0")) == 3
    assert re.search(r"mxft launch: .*(scheduler|server 0) ended before the workers were done; ending the others",
                     capfd.readouterr().err)


def test_a_command_that_cannot_be_started_is_told(capfd):
    assert run(group("sleep 300")[:2] + [Member("worker", 0, {}, ["no-such-command"])]) == 127
    assert "worker 0 | cannot start 'no-such-command': no such file or directory" in capfd.readouterr().err


def launched(tmp_path, script, workers=2):
    """Start a launcher of shell scripts in a process of its own; return it and the pids of all the scripts."""
    pids = tmp_path / "pids"
    program = f"""
import sys
sys.path[:0] = {sys.path!r}
from tests.cli.test_launch import group, run
sys.exit(run(group(*["echo $$ >> {pids}; " + {script!r}] * {workers}, serving="echo $$ >> {pids}; exec sleep 300")))
"""
    process = subprocess.Popen([PY, "-c", program], stderr=subprocess.PIPE, text=True, start_new_session=True,
                               cwd=os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
    for _ in range(300):
        if pids.exists() and len(pids.read_text().split()) == workers + 2:
            break
        time.sleep(0.1)
    return process, [int(pid) for pid in pids.read_text().split()]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_nobody_is_left_when_the_launcher_ends(number, status, tmp_path):
    process, pids = launched(tmp_path, "trap 'exit 130' INT TERM; while :; do sleep 0.05; done")
    process.send_signal(number)
    assert process.wait() == status
    assert left_of(pids) == []


def test_hosts_are_names_or_a_file(tmp_path):
    (tmp_path / "hosts").write_text("# ours\nhost1 slots=4\n\nuser@host2  # the other\n")
    assert read_hosts(str(tmp_path / "hosts")) == ["host1", "user@host2"]
    assert read_hosts("a, b,") == ["a", "b"] and read_hosts("") == []
    with pytest.raises(InputError, match="received hosts='a,-oProxyCommand=x' with '-oProxyCommand=x'"):
        read_hosts("a,-oProxyCommand=x")


def test_lower_ports_go_to_lower_ranks():
    ports = free_ports(5)
    assert ports == sorted(set(ports))
    members = plan_for("local", ["train"], 3, 1, [])
    worker_ports = [int(member.variables["PORT"]) for member in members if member.role == "worker"]
    assert worker_ports == sorted(worker_ports)
    assert {member.variables["DMLC_NODE_HOST"] for member in members} == {"127.0.0.1"}


@pytest.mark.parametrize("arguments, message", [
    (["-n", "2"], "command: expected what every worker runs, received none"),
    (["-n", "0", "x"], "-n: expected a whole number of at least 1, received n='0'"),
    (["x"], "arguments are missing: expected -n"),
    (["-n", "2", "--launcher", "ssh", "x"], "expected -H host,host or a file of them with --launcher ssh, received no"),
    (["-n", "2", "-H", "a,b", "x"], "expected none with --launcher local, received a,b; use --launcher ssh"),
    (["-n", "2", "--launcher", "slurm", "x"], "inside an allocation .* received no SLURM_JOB_NODELIST"),
    (["-n", "2", "--launcher", "yarn", "x"], "launcher: expected one of .*local.*received launcher='yarn'")])
def test_what_cannot_be_started_is_refused(arguments, message, capsys, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_NODELIST", raising=False)
    assert run_verb("launch", arguments) == 2
    assert re.search(message, capsys.readouterr().err)


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A function ``(name, script)`` that puts a program on PATH; it can write its arguments to $SAID."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SAID", str(tmp_path / "said"))

    def make(name, script):
        program = tmp_path / "bin" / name
        program.write_text("#!/bin/sh\n" + script)
        program.chmod(0o755)
    return make


def on_hosts(launcher, hosts, script):
    members = plan_for(launcher, ["sh", "-c", script], 2, 1, hosts, address="127.0.0.1")
    quiet = [dataclasses.replace(member, command=["sleep", "1"]) if member.role != "worker" else member
             for member in members]
    return supervise(quiet, lambda member: start_command(member, launcher))


def test_ssh_starts_them_where_it_is_told_in_this_folder_with_their_variables(fake, here, capfd, monkeypatch):
    fake("ssh", 'for last; do :; done; echo "$@" | head -1 >> "$SAID"; cd / ; exec sh -c "$last"\n')
    monkeypatch.setenv("MXNET_ODD", "it's $HOME")
    assert on_hosts("ssh", ["host1", "host2"], 'echo "$DMLC_ROLE $DMLC_NUM_WORKER $MXNET_ODD $PWD"') == 0
    said = capfd.readouterr().out.splitlines()
    assert sorted(said) == [f"worker {n} | worker 2 it's $HOME {here}" for n in range(2)]
    hosts = [re.search(r" (host\d) cd ", line).group(1) for line in (here / "said").read_text().splitlines()]
    assert sorted(hosts) == ["host1", "host1", "host2"]


def test_a_lost_connection_ends_all(fake, capfd):
    fake("ssh", "exit 255\n")
    assert on_hosts("ssh", ["host1"], "sleep 300") == 255
    assert "ended with status 255; ending" in capfd.readouterr().err


def test_slurm_uses_srun_on_the_hosts_of_the_allocation(fake, tmp_path, capfd, monkeypatch):
    fake("scontrol", 'test "$3" = "node[1-2]" && printf "node1\\nnode2\\n"\n')
    fake("srun", 'echo "$@" >> "$SAID"; while [ "${1#--}" != "$1" ]; do shift; done; exec "$@"\n')
    monkeypatch.setenv("SLURM_JOB_NODELIST", "node[1-2]")
    assert on_hosts("slurm", [], "echo $DMLC_ROLE") == 0
    assert sorted(capfd.readouterr().out.splitlines()) == ["worker 0 | worker", "worker 1 | worker"]
    said = (tmp_path / "said").read_text()
    assert said.count("--nodelist=node1") == 2 and said.count("--nodelist=node2") == 1
    assert "--nodes=1 --ntasks=1 --overlap" in said


def test_by_hand_says_what_to_type(capsys):
    members = plan_for("manual", ["python", "train.py", "--kv-store", "dist_sync"], 2, 1, ["host1", "host2"],
                       address="10.0.0.1", port=9000)
    text = describe_by_hand(members)
    assert "# worker 1 on host2\nenv DMLC_PS_ROOT_URI=10.0.0.1 DMLC_PS_ROOT_PORT=9000 DMLC_NUM_WORKER=2 " in text
    assert "DMLC_ROLE=worker python train.py --kv-store dist_sync\n" in text
    assert "# server 0 on host1\n" in text and "-m mxft.distributed.serving" in text
    assert text.endswith("this process is the scheduler, at 10.0.0.1:9000; it ends with them")


def global_batch(repository, out, *flags, workers=0):
    """Run tests/reference/global_batch.py and return what it wrote, a file a worker."""
    command = [PY, str(repository / "tests/reference/global_batch.py"), str(out), *flags]
    if workers:
        command = [PY, str(repository / "tools/launch.py"), "-n", str(workers), "-s", "1", *command]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return [np.load(out)] + [np.load(f"{out}.{rank}") for rank in range(1, workers)]


def assert_agree(one, several, frozen):
    losses = np.mean([each["losses"] for each in several], axis=0)
    assert np.abs(losses - one["losses"]).max() < 1e-4
    for name in (name for name in one.files if name.startswith("after/")):
        before = several[0][name.replace("after/", "before/")]
        for each in several:
            assert np.abs(each[name] - one[name]).max() < 1e-4
            assert np.array_equal(each[name], before) == (frozen and "conv0" in name)


@pytest.mark.long
def test_two_workers_are_one_process_of_their_batch_with_multipliers_and_frozen_parameters(repository, tmp_path):
    flags = ["--freeze", "--freeze-by", "lr_mult", "--steps", "6"]  # rates and decay 0 have to reach the server
    one, = global_batch(repository, tmp_path / "one.npz", "device", *flags)
    assert_agree(one, global_batch(repository, tmp_path / "two.npz", "dist_sync", *flags, workers=2), frozen=True)


@pytest.mark.long
@pytest.mark.parametrize("kvstore", ["dist_sync", "dist_device_sync"])
def test_two_workers_that_accumulate_are_one_process_of_their_batch(kvstore, repository, tmp_path):
    flags = ["--freeze", "--freeze-by", "lr_mult", "--steps", "6"]
    one, = global_batch(repository, tmp_path / "one.npz", "device", *flags)
    assert_agree(one, global_batch(repository, tmp_path / "two.npz", kvstore, "--accumulate", "4", *flags, workers=2),
                 frozen=True)


@pytest.mark.long
@pytest.mark.parametrize("flags", [[], ["--freeze"], ["--freeze", "--freeze-by", "lr_mult"]])
def test_losses_agree_for_30_steps_however_the_batch_is_divided(flags, repository, tmp_path):
    one, = global_batch(repository, tmp_path / "one.npz", "device", *flags)
    assert len(one["losses"]) == 30
    for kvstore in ("local", "device"):
        assert_agree(one, global_batch(repository, tmp_path / "2.npz", kvstore, "--contexts", "2", *flags), bool(flags))
    for kvstore in ("dist_sync", "dist_device_sync"):
        several = global_batch(repository, tmp_path / f"{kvstore}.npz", kvstore, *flags, workers=2)
        assert_agree(one, several, bool(flags))


@pytest.mark.long
@pytest.mark.parametrize("role", ["worker", "server", "scheduler"])
def test_a_killed_process_ends_all_under_the_launcher(role, repository, tmp_path):
    log = tmp_path / "log"
    launcher = start_logged([PY, str(repository / "tools/launch.py"), "-n", "2", "-s", "1", PY,
                             str(repository / "tests/reference/global_batch.py"), str(tmp_path / "o"), "dist_sync",
                             "--steps", "1000000"], {"TAG": str(tmp_path)}, log)
    wait_for(log, "batch 50/", 1)
    os.kill(training_pids(tmp_path, role)[0], signal.SIGKILL)
    assert launcher.wait(60) == 137
    assert "ended with status 137 (SIGKILL); ending the other 3 processes" in log.read_text()
    assert training_pids(tmp_path, None) == []


@pytest.mark.long
@pytest.mark.parametrize("role", ["worker", "server", "scheduler"])
def test_heartbeats_end_all_without_a_launcher(role, repository, tmp_path):
    log, port = tmp_path / "log", str(free_ports(1)[0])
    serving = [PY, "-m", "mxft.distributed.serving"]
    training = [PY, str(repository / "tests/reference/global_batch.py"), str(tmp_path / "o"), "dist_sync", "--steps",
                "1000000"]
    roles = {"scheduler": serving, "server": serving, "worker": training, "other": training}
    processes = {name: start_logged(command, group_variables(name, port), log) for name, command in roles.items()}
    wait_for(log, "batch 50/", 1)
    processes[role].kill()
    assert {name: process.wait(120) for name, process in processes.items()} == \
        {name: -9 if name == role else 3 for name in roles}
    assert log.read_text().count("a peer is gone: expected a sign of life every 5 s, received none") == 3


def group_variables(name, port):
    """Return what a cluster's own machinery sets for a process of two workers and a server."""
    return {"DMLC_ROLE": name if name in ("scheduler", "server") else "worker", "DMLC_PS_ROOT_URI": "127.0.0.1",
            "DMLC_PS_ROOT_PORT": port, "DMLC_NUM_WORKER": "2", "DMLC_NUM_SERVER": "1", "DMLC_NODE_HOST": "127.0.0.1",
            "PS_HEARTBEAT_INTERVAL": "1", "PS_HEARTBEAT_TIMEOUT": "5"}
