"""What every row of the zoo answers, whatever its source."""
import os

from mxft.zoo.cache import MIRRORS_VARIABLE
from mxft.zoo.parts import described

# What is there once a converted checkpoint is whole: the manifest is written last.
CONVERTED = ("-symbol.json", "-0000.params", "-manifest.json")


class Row:
    """Base of the rows; each source's dataclass adds its facts (name, aliases …) and its ways.

    A row says what it is (`group`, `about`, `published`, `digest`, `licence`), what its files are (`parts`, `ways`),
    whether it is there (`cached`), and brings it there (`get`).
    """

    is_checkpoint = True  # one that verbs take as a model
    group = ""
    licence = None
    note = None
    aliases = ()
    kept = ("-symbol.json", "-0000.params")

    def prefix(self, folder):
        """Return the checkpoint's prefix in the cache `folder`."""
        raise NotImplementedError

    def place(self, folder):
        """Return where it goes: a checkpoint's prefix, or a data set's path."""
        return self.prefix(folder)

    def cached(self, folder):
        """Return ``"prefix,0"`` if the checkpoint is in the cache `folder`, otherwise None."""
        prefix = self.prefix(folder)
        return f"{prefix},0" if all(os.path.exists(prefix + ending) for ending in self.kept) else None

    def add_manifest(self, folder):
        """Write the manifest beside a checkpoint that came without one."""
        if not os.path.exists(self.prefix(folder) + "-manifest.json"):
            from mxft.network.manifest import write_manifest  # imports mxnet, which a list of names does without

            write_manifest(self.prefix(folder), self.manifest())

    def parts(self, folder):
        """Return the files that are downloaded, as a tuple of Part."""
        raise NotImplementedError

    def ways(self, folder):
        """Return the sets of local files the row can be made of."""
        return (self.parts(folder),)

    def get(self, folder, progress=True, files=()):
        """Return what is in the cache afterwards: ``"prefix,epoch"``, or a data set's path.

        Parameters
        ----------
        folder : str
            The cache.
        progress : bool
            Show what is fetched.
        files : sequence of str
            Local copies to take instead of asking any address; they are verified alike and left where they are.
        """
        raise NotImplementedError

    def hint(self, folder):
        """Return how to hand the files over, for messages."""
        return (f"give local copies with mxft zoo get {self.name} --file {self._example(folder)} (in a recipe also a "
                f"checkpoint with MODEL=prefix,epoch), or name a mirror in {MIRRORS_VARIABLE}")

    def _example(self, folder):
        return " ".join(part.name for part in self.ways(folder)[-1])

    def by_hand(self, folder):
        """Return the files that can be handed over, as text."""
        return described(self.ways(folder))

    def digest(self):
        """Return the published hash as ``(algorithm, hex digits, of what)``, or None."""

    def published(self):
        """Return the published accuracy as {measure: value}, empty where there is none."""
        return {name: value for name, value in (("top-1", getattr(self, "top1", None)),
                                                ("top-5", getattr(self, "top5", None))) if value}

    def manifest(self):
        """Return what the checkpoint's manifest will say; {} for a data set."""
        return {}
