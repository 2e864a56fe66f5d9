"""A command's life: its streams, its one message, its exit status, and signals that end it cleanly."""
import contextlib
import os
import signal
import sys
import threading

from mxft.command.flags import as_flags
from mxft.command.telling import told
from mxft.errors import MxftError, describe_failure
from mxft.files.staging import sweep_scratch
from mxft.machine.packages import describe_missing
from mxft.machine.programs import for_this_python
from mxft.machine.terminal import clean_streams


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP came (the argument says which): ends what Ctrl-C ends, in the same good order."""


def run_command(name, main, argv=None, flags=None):
    """Run ``main(argv)`` and return its exit status; where it had joined other workers, leave them.

    Parameters
    ----------
    name : str
        What messages begin with.
    main : callable
        Takes the arguments, returns an exit status or None.
    argv : list of str, optional
        The process's own when None.
    flags : dict of str to str, optional
        What the command calls a setting, by the setting's field: see `mxft.command.flags`.

    Notes
    -----
    An MxftError becomes one message on stderr and its exit status (2 refused, 3 stopped), as does what the operating
    system and MXNet refuse while running (3) and a package that is not installed (2). Ctrl-C ends with 130, SIGTERM
    with 143, a closed pipe with 141. Any other exception is a defect of mxft and keeps its traceback.
    """
    status = _run(name, main, list(sys.argv[1:] if argv is None else argv), flags)
    workers = sys.modules.get("mxft.distributed.workers")
    if workers:
        workers.release(status)
    return status


def _run(name, main, argv, flags):
    """Run ``main(argv)`` with prepared streams; return its exit status, or that of what stopped it."""
    _prepare_streams()
    with clean_streams(), told(flags):
        return _guarded(name, main, argv, flags)


def _guarded(name, main, argv, flags):
    try:
        with _signals_as_interrupts():
            sweep_scratch()  # here, as one that is refused for what stands already gets to no scratch folder of its own
            status = main(argv) or 0
            sys.stdout.flush()  # here a closed pipe or a full disk can still be told, at the interpreter's end not
            return status
    except MxftError as error:
        return _say(name, as_flags(error.message, flags), error.exit_code)
    except KeyboardInterrupt as interrupt:
        by = str(interrupt) if isinstance(interrupt, Terminated) else "SIGINT"
        return _say(name, f"stopped by {'Ctrl-C' if by == 'SIGINT' else by}", status_after(by))
    except BrokenPipeError:
        _forget_stdout()
        return 141
    except ModuleNotFoundError as error:
        missing = describe_missing(error)
        if missing is None:
            raise
        return _say(name, missing, 2)
    except (OSError, MemoryError, RuntimeError) as error:
        reason = describe_failure(error)
        if reason is None:
            raise
        return _say(name, as_flags(f"stopped while running: {reason}", flags), 3)


def status_after(name):
    """Return the exit status of what a signal ended, as shells give it: 128 and its number; 0 without a name.

    Examples
    --------
    >>> status_after("SIGTERM"), status_after("")
    (143, 0)
    """
    return 128 + signal.Signals[name] if name else 0


def _prepare_streams():
    """Open closed standard streams to nowhere, and let stdout take a file name the terminal cannot show.

    A program started with ``>&-`` would otherwise get its next file as descriptor 1 or 2, and whatever a native
    library prints would go into a checkpoint.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    with contextlib.suppress(AttributeError, ValueError):
        sys.stdout.reconfigure(errors="backslashreplace")


def _say(name, text, status):
    """Print the one message, whatever has become of stdout and stderr, and return `status`."""
    with contextlib.suppress(OSError):
        print(f"{name}: {for_this_python(text)}", file=sys.stderr)
    try:
        sys.stdout.flush()
    except (OSError, ValueError):  # on a full disk, say: the flush at exit would fail again
        _forget_stdout()
    return status


def _forget_stdout():
    """Point stdout nowhere, so that the interpreter's last flush is silent."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def _signals_as_interrupts():
    """Raise Terminated for SIGTERM and SIGHUP, so that temporary files go and weights are saved as with Ctrl-C.

    A signal that is handled or ignored already (nohup) stays as it is, as do all of them outside the main thread.
    """
    def interrupt(number, _):
        raise Terminated(signal.Signals(number).name)

    main_thread = threading.current_thread() is threading.main_thread()
    numbers = [number for number in (signal.SIGTERM, getattr(signal, "SIGHUP", None))
               if main_thread and number is not None and signal.getsignal(number) is signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
