"""The ``mxft`` command as a process: help without mxnet, exit statuses, streams that are closed or full, signals."""
import importlib
import os
import signal
import subprocess
import sys

import pytest

from mxft import cli
from mxft.cli import VERBS, main, module_name
from mxft.command import run_command
from mxft.errors import InputError, RunError

VERB_NAMES = sorted(VERBS)


def mxft(*words, **options):
    """Run ``python -m mxft`` from wherever the test stands."""
    environment = {**os.environ, "PYTHONPATH": str(options.pop("repository")), **options.pop("env", {})}
    return subprocess.run([sys.executable, "-m", "mxft", *words], env=environment, capture_output=True, text=True,
                          **options)


def test_help_of_the_command_and_of_every_verb_imports_neither_mxnet_nor_numpy():
    code = ("import sys\nfrom mxft.cli import main, VERBS\nassert main(['--help']) == main(['--version']) == 0\n"
            "for verb in VERBS:\n    try:\n        main([verb, '--help'])\n    except SystemExit as end:\n"
            "        assert end.code == 0\nsys.exit(bool({'mxnet', 'numpy', 'cv2'} & set(sys.modules)))")
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0


@pytest.mark.parametrize("verb", VERB_NAMES)
def test_help_of_a_verb_fits_80_columns_and_has_an_example_that_parses(verb, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert all(len(line) <= 80 for line in text.splitlines()), [line for line in text.splitlines() if len(line) > 80]
    module = importlib.import_module("mxft.cli." + module_name(verb))
    parser = getattr(module, "parser", None) or module.build_parser
    examples = [line.split() for line in text.replace("\\\n", " ").splitlines()
                if line.strip().startswith(f"mxft {verb} ") and line.startswith("  ")]
    assert examples
    for words in examples:
        parser().parse_args(words[2:3] if verb == "recipe" else words[2:])  # the rest is the recipe's


def test_help_lists_every_verb_and_exit_status(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n  {verb} " in text for verb in VERBS) and "130 interrupted" in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_nothing_typed_is_2_and_help_on_stderr(capsys):
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "usage: mxft VERB" in err


def test_an_unknown_verb_names_the_nearest(capsys):
    assert main(["finetun"]) == 2
    assert capsys.readouterr().err == (
        "mxft: unknown verb: expected one of those mxft --help lists, received 'finetun'; "
        "nearest: finetune, inspect\n")


@pytest.mark.parametrize("words, message", [
    (["score", "a.rec"], "mxft score: arguments are missing: expected --model, received none"),
    (["score", "--model", "m,0", "a.rec", "--batchsize", "3"],
     "received '--batchsize 3'; nearest: --batch-size"),
    (["score", "--model", "m,0", "a.rec", "--batch", "3"], "received '--batch 3'; nearest: --batch-size"),
    (["score", "--model", "m,0", "a.rec", "b.rec"], "unknown argument: expected an option of mxft score, received "
                                                    "'b.rec'"),
    (["score", "a.rec", "--model"], "--model: expected a value, received none"),
    (["score", "--model", "m,0", "a.rec", "--rgb-mean", "-1,2,3"], "goes after =, as in --rgb-mean=-1)"),
    (["score", "--model", "m,0", "a.rec", "--batch-size", "0"],
     "--batch-size: expected a whole number of at least 1, received batch-size='0'"),
    (["split", "a", "b", "--seed", "x"], "--seed: expected a whole number, received seed='x'"),
    (["im2rec", "a", "b", "--color", "7"], "--color: expected one of -1, 0, 1, received color=7"),
])
def test_what_argparse_refuses_is_one_line_without_usage(words, message, capsys):
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert message in err and f"mxft {words[0]} --help shows them all" in err


def test_the_statuses_of_errors(capsys):
    def ending(error):
        def raise_it(argv):
            raise error
        return run_command("x", raise_it, [])

    assert [ending(e) for e in (InputError("a"), RunError("b"), KeyboardInterrupt(), BrokenPipeError())] == [
        2, 3, 130, 141]
    assert capsys.readouterr().err == "x: a\nx: b\nx: stopped by Ctrl-C\n"
    with pytest.raises(ZeroDivisionError):
        ending(ZeroDivisionError())
    with pytest.raises(RuntimeError):
        ending(RuntimeError("a defect"))


def test_what_the_system_or_mxnet_refuses_is_3_and_one_line(capsys):
    from mxft.compat import mx

    def fail(argv):
        raise argv[0]

    full = OSError(28, "No space left on device", "a.params")
    assert run_command("x", fail, [full]) == 3
    assert run_command("x", fail, [MemoryError()]) == 3
    assert run_command("x", fail, [mx.base.MXNetError("Traceback …\nMXNetError: Failed to allocate CPU Memory")]) == 3
    assert run_command("x", fail, [RuntimeError("simple_bind error.\n  MXNetError: no such operator")]) == 3
    assert capsys.readouterr().err.splitlines() == [
        "x: stopped while running: no space left on device: 'a.params'",
        "x: stopped while running: out of memory; a smaller --batch-size or --image-shape needs less",
        "x: stopped while running: MXNet failed: MXNetError: Failed to allocate CPU Memory; a smaller --batch-size or "
        "--image-shape needs less",
        "x: stopped while running: MXNet failed: MXNetError: no such operator"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_termination_ends_like_ctrl_c_and_the_handler_is_put_back(number, capsys):
    def wait(argv):
        os.kill(os.getpid(), number)
        signal.pause()

    before = signal.signal(number, signal.SIG_DFL)  # under nohup it is ignored
    try:
        assert run_command("x", wait, []) == 128 + number
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, before)
    assert capsys.readouterr().err == f"x: stopped by {number.name}\n"


def test_an_ignored_hangup_stays_ignored():
    """nohup mxft finetune … must live on."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert run_command("x", lambda argv: os.kill(os.getpid(), signal.SIGHUP), []) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_it_runs_as_a_module_from_anywhere(repository, tmp_path):
    done = mxft("--version", repository=repository, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"mxft {cli.__version__}\n", "")
    assert os.listdir(tmp_path) == []


def test_a_reader_that_goes_away_is_no_message(repository):
    command = [sys.executable, "-m", "mxft", "zoo", "list"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env={**os.environ, "PYTHONPATH": str(repository)})
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait() == 141
    process.stderr.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="expected /dev/full")
def test_a_full_stdout_is_one_message(repository):
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "mxft", "--help"], stdout=full, stderr=subprocess.PIPE, text=True,
                              env={**os.environ, "PYTHONPATH": str(repository)})
    assert (done.returncode, done.stderr) == (3, "mxft: stopped while running: no space left on device\n")


def test_closed_streams_and_an_empty_environment_do_no_harm(repository, tmp_path):
    code = ("import os, sys\nfor n in range(3): os.close(n)\nsys.stdin = sys.stdout = sys.stderr = None\n"
            f"sys.path.insert(0, {str(repository)!r})\nfrom mxft.cli import main\n"
            "status = main(['im2rec', '--list', '--recursive', 'list', 'photos'])\n"
            "assert os.fstat(1).st_rdev == os.stat(os.devnull).st_rdev\nsys.exit(status)")
    (tmp_path / "photos" / "cät").mkdir(parents=True)
    (tmp_path / "photos" / "cät" / "ü 1.jpg").write_bytes(b"x")
    assert subprocess.run([sys.executable, "-c", code], env={}, cwd=tmp_path).returncode == 0
    assert (tmp_path / "list.lst").read_text(encoding="utf-8") == "0\t0.000000\tcät/ü 1.jpg\n"
    assert sorted(os.listdir(tmp_path)) == ["list.classes.txt", "list.lst", "photos"]
