"""Progress bars where somebody watches: on a terminal, and in a notebook, which keeps nothing of them."""
import sys
import warnings

from mxft.machine.notebook import in_notebook


def is_watched():
    """Whether a bar can be shown: stderr is a terminal, or this process serves a notebook."""
    return sys.stderr is not None and (sys.stderr.isatty() or in_notebook())


def open_bar(**options):
    """Return a tqdm bar on stderr.

    Parameters
    ----------
    **options
        tqdm's: total, desc, unit …

    Returns
    -------
    tqdm.tqdm
        In a notebook ``tqdm.auto``'s, which is gone once it is closed: what it has said stands in the log.

    Examples
    --------
    >>> with open_bar(total=2, disable=True) as bar:
    ...     bar.update()
    """
    if options.get("disable") or not in_notebook():
        from tqdm import tqdm

        return tqdm(file=sys.stderr, **options)
    kind, is_widget = _notebook_tqdm()
    options["leave"] = False
    return _bar_of_widgets(kind, options) if is_widget else kind(file=sys.stderr, **options)


def _notebook_tqdm():
    """Return tqdm's class for notebooks, and whether it is one of widgets: without ipywidgets it writes text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that ipywidgets is not there
        from tqdm.auto import tqdm
        from tqdm.notebook import tqdm_notebook
    return tqdm, issubclass(tqdm, tqdm_notebook)


def _bar_of_widgets(kind, options):
    """Return a bar whose output is emptied when it closes; else a saved notebook shows it as it began, at 0 %."""
    from IPython.display import display

    bar = kind(display=False, **options)
    shown, close = display(bar.container, display_id=True), bar.close

    def close_and_empty():
        nonlocal shown
        close()
        if shown is not None:
            shown.update({"text/plain": ""}, raw=True)
            shown = None

    bar.close = close_and_empty
    return bar
