"""``kill -9`` within one process: what runs is left where it stands, and nothing catches it or saves after it."""
import contextlib
import itertools


class Killed(BaseException):
    """Stands for the signal."""


@contextlib.contextmanager
def killed_when(of, method, is_time):
    """Kill what runs inside when `method` of the class `of` has done its work on an object ``is_time`` finds right.

    Raises
    ------
    AssertionError
        It ended by itself.
    """
    original = getattr(of, method)

    def then_killed(self, *args):
        original(self, *args)
        if is_time(self):
            raise Killed
    setattr(of, method, then_killed)
    try:
        yield
    except Killed:
        return
    finally:
        setattr(of, method, original)
    raise AssertionError(f"was not killed in {of.__name__}.{method}")


def killed_after(count, of, method):
    """Kill what runs inside when `method` of the class `of` has been called so often."""
    calls = itertools.count(1)
    return killed_when(of, method, lambda _: next(calls) == count)
