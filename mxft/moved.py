"""Import paths of mxft 0.1 that have moved since: ``mxft.network.checkpoint`` and the others go on working.

An old path and the new one give the same module object, so whatever is patched or registered through one is seen
through the other.
"""
import importlib
import importlib.abc
import importlib.machinery
import sys

MOVED = {
    "mxft.archive": "mxft.files.archive",
    "mxft.bundle": "mxft.deploy.bundle",
    "mxft.bundle.checking": "mxft.deploy.bundle.checking",
    "mxft.bundle.readme": "mxft.deploy.bundle.readme",
    "mxft.bundle.selftest": "mxft.deploy.bundle.selftest",
    "mxft.bundle.signature": "mxft.deploy.bundle.signature",
    "mxft.bundle.writing": "mxft.deploy.bundle.writing",
    "mxft.cards": "mxft.machine.cards",
    "mxft.checkpoint": "mxft.network.checkpoint",
    "mxft.cuda": "mxft.machine.cuda",
    "mxft.download": "mxft.files.download",
    "mxft.engine": "mxft.inference.engine",
    "mxft.export": "mxft.deploy.onnx",
    "mxft.graph": "mxft.network.graph",
    "mxft.http_stream": "mxft.files.http_stream",
    "mxft.kernels": "mxft.inference.kernels",
    "mxft.manifest": "mxft.network.manifest",
    "mxft.memory": "mxft.machine.memory",
    "mxft.packages": "mxft.machine.packages",
    "mxft.params_file": "mxft.network.params_file",
    "mxft.processor": "mxft.machine.processor",
    "mxft.quiet": "mxft.machine.quiet",
    "mxft.rewrite.batch_norm": "mxft.rewrite.inference.batch_norm",
    "mxft.rewrite.batch_norm_relu": "mxft.rewrite.training.batch_norm_relu",
    "mxft.rewrite.channel_blocks": "mxft.rewrite.inference.channels",
    "mxft.rewrite.filled_channels": "mxft.rewrite.training.channels",
    "mxft.rewrite.flatten": "mxft.rewrite.inference.flatten",
    "mxft.rewrite.frozen_weight": "mxft.rewrite.training.frozen_weight",
    "mxft.rewrite.pad": "mxft.rewrite.inference.pad",
    "mxft.rewrite.pad_training": "mxft.rewrite.training.pad",
    "mxft.rewrite.scalar": "mxft.rewrite.inference.scalar",
    "mxft.rewrite.strides": "mxft.rewrite.inference.strides",
    "mxft.serving": "mxft.deploy.serving",
    "mxft.serving.application": "mxft.deploy.serving.application",
    "mxft.serving.pictures": "mxft.deploy.serving.pictures",
    "mxft.serving.server": "mxft.deploy.serving.server",
    "mxft.slim": "mxft.deploy.slim",
    "mxft.streams": "mxft.inference.streams",
    "mxft.threads": "mxft.machine.threads",
    "mxft.transfer": "mxft.network.transfer",
}


class MovedModules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a module under the path it had before, see the table `MOVED`."""

    def find_spec(self, fullname, path=None, target=None):
        """Return the spec of a module that has moved, None for any other."""
        if fullname in MOVED:
            return importlib.machinery.ModuleSpec(fullname, self)
        return None

    def exec_module(self, module):
        """Put the module of the new path in the place of the one the import system made."""
        sys.modules[module.__spec__.name] = importlib.import_module(MOVED[module.__spec__.name])


def find_moved_modules():
    """Let the old paths be found, before any other finder: an old package's files lie below the new one's folder."""
    if not any(isinstance(finder, MovedModules) for finder in sys.meta_path):
        sys.meta_path.insert(0, MovedModules())
