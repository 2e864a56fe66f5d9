"""Hands cases to worker processes, notices how each ends, and keeps what is needed to see a failure again."""
import collections
import json
import os
import pathlib
import re
import select
import shlex
import shutil
import subprocess
import sys

from tests.torture.damage import generator
from tests.torture.kinds import KINDS
from tests.torture.specimens import make_specimens

SECONDS = 60                     # that a case may take; the slowest good one takes about two
START_SECONDS = 300              # in which a worker has loaded MXNet, however busy the machine
CASES_A_WORKER = 100             # MXNet keeps some memory of every iterator
GOOD = ("read (0)", "refused (2)", "stopped (3)")
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]

Outcome = collections.namedtuple("Outcome", ["kind", "number", "way", "command", "verdict", "detail"])


class Worker:
    """One worker process, started when first needed and again after it ended."""

    def __init__(self):
        self._process, self._done = None, 0

    def run(self, folder, argv, most_memory):
        """Return (verdict, detail) of one case; `most_memory` bytes may be resident."""
        if self._process is None or self._done >= CASES_A_WORKER:
            self._start()
            verdict, detail = self._ask(folder, ["--version"], START_SECONDS, most_memory)
            if verdict != GOOD[0]:
                raise RuntimeError(f"no worker can be started: {verdict}, {detail}")
        self._done += 1
        return self._ask(folder, argv, SECONDS, most_memory)

    def _ask(self, folder, argv, seconds, most_memory):
        try:
            self._process.stdin.write(json.dumps({"folder": str(folder), "argv": argv}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return self._ended()
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            self.stop()
            return "hang", f"no answer in {seconds} s"
        line = self._process.stdout.readline()
        return _verdict(json.loads(line), folder, most_memory) if line else self._ended()

    def _start(self):
        self.stop()
        paths = os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.worker"], cwd=REPOSITORY, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": paths, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"})
        self._done = 0

    def _ended(self):
        status = self._process.wait()
        self._process = None
        return "crash", f"the process ended with {status}"

    def stop(self):
        """End the process, however it feels about it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdin.close()
            self._process.stdout.close()
            self._process = None


def _verdict(answer, folder, most_memory):
    stderr = (folder.parent / "stderr").read_text(errors="replace")
    left = [str(path) for path in folder.rglob("*") if path.name.endswith(".part")]
    strangers = {path.name for path in folder.parent.iterdir()} - {folder.name, "stdout", "stderr"}
    if answer["traceback"] or "Traceback (most recent call last)" in stderr:
        return "traceback", answer["traceback"] or stderr
    if answer["peak"] > most_memory:
        return "memory", f"{answer['peak'] >> 20} MB resident"
    if left or strangers or (folder / "outside").exists():
        return "left behind", ", ".join([*left, *strangers]) or "outside"
    if answer["status"] not in (0, 2, 3):
        return f"status {answer['status']}", stderr[-500:]
    if answer["status"] and len(stderr.strip()) < 20:
        return "silent", f"status {answer['status']}, stderr {stderr!r}"
    return {0: GOOD[0], 2: GOOD[1], 3: GOOD[2]}[answer["status"]], stderr[-500:]


def plan(seed, count, only="", kinds=KINDS):
    """Yield (kind number, kind, case number) of `count` cases, the kinds in turn by weight."""
    wheel = [(place, kind) for place, kind in enumerate(kinds) for _ in range(kind.weight) if only in kind.name]
    numbers = collections.Counter()
    for turn in range(count):
        place, kind = wheel[turn % len(wheel)]
        numbers[place] += 1
        yield place, kind, numbers[place] - 1


def torture(folder, seed, count, only="", say=print, kinds=KINDS):
    """Run `count` cases and return their Outcomes.

    Parameters
    ----------
    folder : str
        To work in; failures are kept below its ``failures``, with the damaged file and the command.
    seed, count : int
        The same seed gives the same cases, whatever the count.
    only : str
        Kinds with this in their name.
    say : callable
        Told of every failure.
    kinds : tuple of tests.torture.kinds.Kind
    """
    folder = pathlib.Path(folder)
    make_specimens(str(folder / "good"))
    worker, outcomes = Worker(), []
    try:
        require_undamaged_is_read(folder, worker, only, kinds)
        for place, kind, number in plan(seed, count, only, kinds):
            work = folder / "work" / "case"
            shutil.rmtree(work.parent, ignore_errors=True)
            way, command = prepare(kind, work, folder / "good", generator(seed, place, number))
            outcome = Outcome(kind.name, number, way, command, *worker.run(work, command, kind.most_memory))
            outcomes.append(outcome)
            if outcome.verdict not in GOOD:
                kept = _keep(folder / "failures", outcome, work.parent, seed, kind.target)
                say(f"{outcome.verdict}: {kind.name} number {number}, {way}: {shlex.join(command)}; kept in {kept}")
    finally:
        worker.stop()
    return outcomes


def require_undamaged_is_read(folder, worker, only="", kinds=KINDS):
    """Run every command once on what is not damaged: a refusal of everything would be no success."""
    for kind in kinds:
        for command in kind.commands if only in kind.name else ():
            work = folder / "work" / "case"
            shutil.rmtree(work.parent, ignore_errors=True)
            lay_out(kind, work, folder / "good")
            verdict, detail = worker.run(work, list(command), kind.most_memory)
            if verdict != GOOD[0]:
                raise AssertionError(f"undamaged {kind.name}: {shlex.join(command)}: {verdict}\n{detail}")


def lay_out(kind, work, good):
    """Copy what a kind's commands need from the folder `good` to the folder `work` (Paths), `work` being new."""
    work.mkdir(parents=True)
    for name in {*kind.needs, kind.target.split("/")[0]}:
        if (good / name).is_dir():
            shutil.copytree(good / name, work / name)
        else:
            shutil.copy(good / name, work / name)


def prepare(kind, work, good, rng):
    """Lay out a case in the folder `work` (Path, new): copies, one of them damaged; return (way, command)."""
    lay_out(kind, work, good)
    target, = work.glob(kind.target)
    way, data = kind.ways[rng.randint(len(kind.ways))](rng, target.read_bytes())
    target.write_bytes(data)
    return way, list(kind.commands[rng.randint(len(kind.commands))])


def _keep(failures, outcome, work, seed, target):
    kept = failures / f"{re.sub('[^a-z.]+', '-', outcome.kind).strip('.-')}-{outcome.number}"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(work, kept, symlinks=True)
    (kept / "README").write_text(f"seed {seed}, {outcome.kind} number {outcome.number}, damage {outcome.way} in "
                                 f"{target}\n{outcome.verdict}\n\ncd case && mxft {shlex.join(outcome.command)}\n\n"
                                 f"{outcome.detail}\n")
    return kept


def table(outcomes):
    """Return kind by outcome as text, with sums."""
    verdicts = [*GOOD, *sorted({outcome.verdict for outcome in outcomes} - set(GOOD))]
    counts = collections.Counter((outcome.kind, outcome.verdict) for outcome in outcomes)
    kinds = list(dict.fromkeys(outcome.kind for outcome in outcomes))
    rows = [["input", "cases", *verdicts]]
    rows += [[kind, sum(counts[kind, verdict] for verdict in verdicts), *(counts[kind, verdict]
                                                                          for verdict in verdicts)]
             for kind in kinds]
    rows.append(["all", *(sum(row[column] for row in rows[1:]) for column in range(1, len(rows[0])))])
    widths = [max(len(str(row[column])) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(str(cell).ljust(width) if not column else str(cell).rjust(width)
                               for column, (cell, width) in enumerate(zip(row, widths))) for row in rows)
