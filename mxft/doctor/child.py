"""Questions whose answer may crash or hang: asked in a process of their own, with a time limit."""
import contextlib
import json
import os
import signal
import subprocess
import sys
from typing import NamedTuple, Optional

from mxft.errors import MxftError

_MARK, _LAST_WAIT = "MXFT-DOCTOR ", 5
_CODE = ("import sys; sys.path[:] = sys.argv[3:]; "
         "from mxft.doctor.child import serve; serve(sys.argv[1], sys.argv[2])")


class Answer(NamedTuple):
    """What a child said: its value, or None and in `failure` what became of it; `output` is all it printed besides."""

    value: Optional[dict]
    failure: str = ""
    output: str = ""


def ask(question, limit, environment=(), **arguments):
    """Ask a function of `mxft.doctor.questions` in a fresh interpreter.

    Parameters
    ----------
    question : str
        The function's name.
    limit : float
        Seconds until the child is killed.
    environment : dict or iterable of pairs
        Variables to set; None removes one.
    arguments
        For the function; JSON carries them.

    Returns
    -------
    Answer

    Examples
    --------
    >>> ask("driver", 30).value                                                              # doctest: +SKIP
    {'driver': None}
    """
    environment = {**os.environ, **dict(environment)}
    environment = {name: value for name, value in environment.items() if value is not None}
    child = subprocess.Popen([sys.executable, "-c", _CODE, question, json.dumps(arguments), *sys.path],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             env=environment, start_new_session=True)
    try:
        output = child.communicate(timeout=limit)[0].decode(errors="replace")
    except subprocess.TimeoutExpired:
        return Answer(None, f"no answer within {limit:g} s")
    finally:
        child.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):  # one that hangs in a driver's call cannot even be killed
            child.wait(_LAST_WAIT)
    said, mark, answer = output.rpartition(_MARK)
    if mark:
        answer = json.loads(answer.splitlines()[0])
        return Answer(answer.get("value"), answer.get("failure", ""), said)
    return Answer(None, _ending(child.returncode, output), output)


def _ending(status, output):
    """Say how a child ended that gave no answer."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    with contextlib.suppress(ValueError):  # not every signal has a name
        status = signal.Signals(-status).name
    how = f"was killed by {status}" if isinstance(status, str) else f"ended with status {status}"
    return f"the process {how}" + (f": {lines[-1]}" if lines else "")


def serve(question, arguments):
    """Answer one question on standard output: the child's side."""
    from mxft.doctor import questions

    try:
        answer = {"value": getattr(questions, question)(**json.loads(arguments))}
    except MxftError as error:
        answer = {"failure": str(error)}
    except Exception as error:  # the answer is what is wrong here
        answer = {"failure": f"{type(error).__name__}: {error}".splitlines()[-1]}
    print("\n" + _MARK + json.dumps(answer), flush=True)
    os._exit(0)  # what native libraries do at an interpreter's end is no part of the answer
