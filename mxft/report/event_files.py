"""TensorBoard's event files: the numbers of log.jsonl as they come, through tensorboardX.

Its ``SummaryWriter`` hands events to a thread of its own and may lose the last ones; the ``EventsWriter`` behind it
writes at once, so that what is in the log is in the event file.
"""
import json
import logging
import time

LOG = logging.getLogger("mxft")

SCALARS = {"train_loss": "train/loss", "train_top1": "train/top1", "val_loss": "val/loss", "val_top1": "val/top1",
           "val_top5": "val/top5", "train_f1": "train/f1", "val_f1": "val/f1", "val_map": "val/map",
           "train_mae": "train/mae", "val_mae": "val/mae", "val_r2": "val/r2", "loss": "train/loss",
           "correct": "train/top1", "margin_correct": "train/top1_with_margin", "target_cosine": "train/target_cosine",
           "active": "train/triplets_with_loss", "nearer": "train/nearer_to_positive",
           "positive_distance": "train/positive_distance", "negative_distance": "train/negative_distance",
           "lr": "lr", "images_per_second": "images_per_second"}


class EventFiles:
    """Writes what a run logs into an event file; to be passed to `mxft.training.run.Run.listen`.

    Parameters
    ----------
    folder : str
        For TensorBoard's ``--logdir``; made where it is missing.

    Notes
    -----
    Epochs count in a classification run, steps in a face run. Every event is on disk when the call returns. Where that
    fails, training continues without.

    Examples
    --------
    >>> run.listen(EventFiles("runs/photos/tensorboard"))      # doctest: +SKIP
    """

    def __init__(self, folder):
        from tensorboardX.event_file_writer import EventsWriter

        from mxft.files.whole import require_folder

        self._writer = EventsWriter(f"{require_folder(folder)}/events")

    def __call__(self, event, facts):
        """Take one line of the log."""
        summaries = list(_summaries(event, facts))
        if not summaries or self._writer is None:
            return
        try:
            for summary in summaries:
                self._write(summary, facts.get("step", facts.get("epoch", 0)))
            self._writer.flush()
        except OSError as error:
            LOG.warning(f"`tensorboard`: no more events are written ({(error.strerror or str(error)).lower()}); "
                        "log.jsonl has them")
            self._writer = None

    def _write(self, summary, step):
        from tensorboardX.proto.event_pb2 import Event

        self._writer.write_event(Event(wall_time=time.time(), step=step, summary=summary))


def _summaries(event, facts):
    """Return what an event of the log is in TensorBoard."""
    from tensorboardX.summary import scalar, text

    if event == "start":
        settings = json.dumps(facts.get("recipe", facts.get("options")), indent=1, ensure_ascii=False, default=str)
        yield text("recipe", "\n".join("    " + line for line in settings.splitlines()))  # indented is code in Markdown
    elif event in ("epoch", "interval"):
        yield from (scalar(tag, facts[name]) for name, tag in SCALARS.items() if facts.get(name) is not None)
    elif event == "verification":
        yield from (scalar(f"verification/{name}", row["accuracy"]) for name, row in facts["targets"].items())
