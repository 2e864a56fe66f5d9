"""Ctrl-C and SIGTERM between two batches, not in the middle of one.

A KeyboardInterrupt raised wherever Python happens to be can land inside a callback that MXNet's C++ code calls (the
kvstore's updater), which swallows it: the run would continue. So a signal is only noted, and answered at a batch's end.
"""
import logging
import signal
import threading

LOG = logging.getLogger("mxft")


class Interruption:
    """Context manager that notes SIGINT, SIGTERM and SIGHUP, and a batch-end callback that acts on them.

    `noted` is the signal's name, empty before there is one. A second signal is raised at once, for a batch that takes
    too long. Outside the main thread, where signals cannot be caught, nothing is changed; an ignored signal (nohup)
    stays ignored.
    """

    def __init__(self):
        self.noted, self._before = "", {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for name in ("SIGINT", "SIGTERM", "SIGHUP"):
                number = getattr(signal, name, None)
                if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number, _):
        if self.noted:
            raise KeyboardInterrupt
        self.noted = signal.Signals(number).name
        LOG.warning("\nstopping after this batch; a second one stops at once")

    def __call__(self, param=None):
        """Raise KeyboardInterrupt where a signal was noted."""
        if self.noted:
            raise KeyboardInterrupt
