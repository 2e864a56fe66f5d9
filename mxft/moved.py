"""Import paths of mxft 0.1 that have moved since: ``mxft.network.checkpoint`` and the others still work.

An old path and the new one give the same module object, so whatever is patched or registered through one is seen
through the other.
"""
import importlib
import importlib.abc
import importlib.machinery
import sys

MOVED = {
    "mxft.advice": "mxft.features.advice",
    "mxft.archive": "mxft.files.archive",
    "mxft.bundle": "mxft.deploy.bundle",
    "mxft.bundle.checking": "mxft.deploy.bundle.checking",
    "mxft.bundle.readme": "mxft.deploy.bundle.readme",
    "mxft.bundle.selftest": "mxft.deploy.bundle.selftest",
    "mxft.bundle.signature": "mxft.deploy.bundle.signature",
    "mxft.bundle.writing": "mxft.deploy.bundle.writing",
    "mxft.cards": "mxft.machine.cards",
    "mxft.checkpoint": "mxft.network.checkpoint",
    "mxft.cli.arguments": "mxft.commandline.arguments",
    "mxft.cli.data_options": "mxft.commandline.data_options",
    "mxft.cli.models": "mxft.commandline.models",
    "mxft.cli.plan_options": "mxft.commandline.plan_options",
    "mxft.cli.preflight": "mxft.commandline.preflight",
    "mxft.cuda": "mxft.machine.cuda",
    "mxft.data.faces": "mxft.faces.data",
    "mxft.data.faces.augmentation": "mxft.faces.data.augmentation",
    "mxft.data.faces.decoding": "mxft.faces.data.decoding",
    "mxft.data.faces.face_images": "mxft.faces.data.face_images",
    "mxft.data.faces.holding_out": "mxft.faces.data.holding_out",
    "mxft.data.faces.identities": "mxft.faces.data.identities",
    "mxft.data.faces.inspection": "mxft.faces.inspection.inspect",
    "mxft.data.faces.inspection_facts": "mxft.faces.inspection.facts",
    "mxft.data.faces.inspection_pairs": "mxft.faces.inspection.pairs",
    "mxft.data.faces.inspection_ranges": "mxft.faces.inspection.ranges",
    "mxft.data.faces.inspection_records": "mxft.faces.inspection.records",
    "mxft.data.faces.inspection_sets": "mxft.faces.inspection.sets",
    "mxft.data.faces.iterators": "mxft.faces.data.iterators",
    "mxft.data.faces.layout": "mxft.faces.data.layout",
    "mxft.data.faces.packing": "mxft.faces.data.packing",
    "mxft.data.faces.records": "mxft.faces.data.records",
    "mxft.data.faces.set_files": "mxft.faces.data.set_files",
    "mxft.data.faces.set_writer": "mxft.faces.data.set_writer",
    "mxft.data.faces.soundness": "mxft.faces.data.validation",
    "mxft.data.faces.sources": "mxft.faces.data.sources",
    "mxft.data.faces.unpacking": "mxft.faces.data.unpacking",
    "mxft.data.normalization": "mxft.network.input_spec",
    "mxft.data.pair_lists": "mxft.faces.pairs.lists",
    "mxft.data.pair_sets": "mxft.faces.pairs.sets",
    "mxft.data.pairs": "mxft.faces.pairs.bin_file",
    "mxft.data.restricted_pickle": "mxft.faces.pairs.restricted_pickle",
    "mxft.data.soundness": "mxft.data.validation",
    "mxft.download": "mxft.files.download",
    "mxft.engine": "mxft.inference.engine",
    "mxft.evaluation.embedding": "mxft.faces.evaluation.embedding",
    "mxft.evaluation.identification": "mxft.faces.evaluation.identification",
    "mxft.evaluation.pair_scoring": "mxft.faces.evaluation.pair_scoring",
    "mxft.evaluation.verification": "mxft.faces.evaluation.verification",
    "mxft.evaluation.verification_file": "mxft.faces.evaluation.verification_file",
    "mxft.export": "mxft.deploy.onnx",
    "mxft.faces.data.soundness": "mxft.faces.data.validation",
    "mxft.features.frozen_trunk": "mxft.training.frozen_backbone",
    "mxft.graph": "mxft.network.graph",
    "mxft.http_stream": "mxft.files.http_stream",
    "mxft.kernels": "mxft.inference.kernels",
    "mxft.manifest": "mxft.network.manifest",
    "mxft.memory": "mxft.machine.memory",
    "mxft.packages": "mxft.machine.packages",
    "mxft.params_file": "mxft.network.params_file",
    "mxft.processor": "mxft.machine.processor",
    "mxft.quiet": "mxft.machine.quiet",
    "mxft.report.face_curves": "mxft.faces.report.face_curves",
    "mxft.report.face_page": "mxft.faces.report.face_page",
    "mxft.report.judgement": "mxft.report.image_results",
    "mxft.report.target_judgement": "mxft.report.target_results",
    "mxft.report.verification_page": "mxft.faces.report.verification_page",
    "mxft.report.verification_plots": "mxft.faces.report.verification_plots",
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
    "mxft.surgery.batch_norm": "mxft.surgery.states",
    "mxft.training.faces": "mxft.faces.training",
    "mxft.training.faces.announcing": "mxft.faces.training.announcing",
    "mxft.training.faces.checkpoints": "mxft.faces.training.checkpoints",
    "mxft.training.faces.class_sampling": "mxft.faces.training.class_sampling",
    "mxft.training.faces.fit": "mxft.faces.training.fit",
    "mxft.training.faces.imprint": "mxft.faces.training.imprint",
    "mxft.training.faces.memory": "mxft.faces.training.memory",
    "mxft.training.faces.meters": "mxft.faces.training.meters",
    "mxft.training.faces.network": "mxft.faces.training.network",
    "mxft.training.faces.options": "mxft.faces.training.options",
    "mxft.training.faces.preparation": "mxft.faces.training.preparation",
    "mxft.training.faces.shard": "mxft.faces.training.shard",
    "mxft.training.faces.sharded_head": "mxft.faces.training.sharded_head",
    "mxft.training.faces.sharded_module": "mxft.faces.training.sharded_module",
    "mxft.training.faces.sharding": "mxft.faces.training.sharding",
    "mxft.training.faces.train": "mxft.faces.train",
    "mxft.training.faces.transfer": "mxft.faces.training.transfer",
    "mxft.training.faces.verifying": "mxft.faces.training.verifying",
    "mxft.training.finetune": "mxft.workflows.finetune",
    "mxft.training.following": "mxft.training.resume.following",
    "mxft.training.frozen_trunk": "mxft.training.frozen_backbone",
    "mxft.training.lr_finder": "mxft.workflows.lr_finder",
    "mxft.training.optimizer_state": "mxft.training.resume.optimizer_state",
    "mxft.training.snapshots": "mxft.training.resume.snapshots",
    "mxft.training.state": "mxft.training.resume.state",
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
