"""What predict, score, export, bundle and serve give of many networks, beside Module.predict of the unaltered symbol.

    python tests/reference/doors.py [NAME ...]

Networks: every checkpoint and symbol of ../shared, the small networks of ../shared/cases/networks, and Gluon's and
GluonCV's. Symbols without weights and the zoos' networks get random ones. A number is the largest difference, absolute
or as a part of the largest value above 1; a sentence is the verb's refusal. Ends with 1 where one is above 1e-5.
"""
import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, os.pardir)
SHARED = os.path.abspath(os.environ.get("MXFT_TESTDATA") or os.path.join(ROOT, os.pardir, "shared"))
sys.path.insert(0, ROOT)

CHECKPOINTS = {"mobilenet-v2-1.0": 224, "mobilenet-v1-0.25": 128, "mobilefacenet-y1/model": 112,
               "gender-age/model": 112}
SYMBOLS = {"inception-bn": 224, "mobilenet-v2-convhead": 224, "resnet-18": 224, "resnet-50": 224}
GLUON = {"alexnet": 224, "vgg11": 224, "vgg16_bn": 224, "resnet18_v1": 224, "resnet18_v2": 224, "resnet50_v1b": 224,
         "resnet50_v1d": 224, "squeezenet1.0": 224, "squeezenet1.1": 224, "densenet121": 224, "mobilenet0.25": 224,
         "mobilenetv2_0.25": 224, "mobilenetv3_small": 224, "inceptionv3": 299, "googlenet": 224, "xception": 299,
         "resnext50_32x4d": 224, "se_resnet50_v1": 224, "senet_154": 224, "resnest14": 224, "darknet53": 224,
         "cifar_resnet20_v1": 32, "cifar_resnet20_v2": 32, "cifar_wideresnet16_10": 32,
         "fcn_resnet50_ade": 128, "ssd_512_mobilenet1.0_voc": 512, "yolo3_mobilenet1.0_voc": 416,
         "simple_pose_resnet18_v1b": 128}
GRAY = {"gray": (1, 28, 28)}
LIMIT = 1e-5


def random_values(symbol, shape, name="data"):
    """Return random (arg_params, aux_params), scales near 1."""
    from mxft.compat import mx

    random = np.random.RandomState(0)
    args, _, auxs = symbol.infer_shape(**{name: (1, *shape)})

    def numbers(key, size):
        if key.endswith(("gamma", "var")):
            return mx.nd.array(random.uniform(0.5, 1, size))
        return mx.nd.array(random.normal(0, np.sqrt(2 / np.prod(size[1:])) if len(size) > 1 else 0.1, size))

    return ({key: numbers(key, size) for key, size in zip(symbol.list_arguments(), args)
             if key != name and not key.endswith("label")},
            {key: numbers(key, size) for key, size in zip(symbol.list_auxiliary_states(), auxs)})


def files_of(name, folder):
    """Write or find a network's files; return (prefix, image shape)."""
    from mxft.compat import mx

    prefix = os.path.join(folder, "net")
    if name in CHECKPOINTS:
        for end in ("-symbol.json", "-0000.params"):
            shutil.copy(os.path.join(SHARED, "models", name + end), prefix + end)
        return prefix, (3, CHECKPOINTS[name], CHECKPOINTS[name])
    if name in SYMBOLS:
        path, shape = os.path.join(SHARED, "symbols", f"{name}-symbol.json"), (3, SYMBOLS[name], SYMBOLS[name])
        shutil.copy(path, f"{prefix}-symbol.json")
        args, auxs = random_values(mx.sym.load(path), shape)
        mx.nd.save(f"{prefix}-0000.params", {**{"arg:" + key: value for key, value in args.items()},
                                             **{"aux:" + key: value for key, value in auxs.items()}})
        return prefix, shape
    if name in GLUON:
        return _of_gluon(name, prefix), (3, GLUON[name], GLUON[name])
    cases = os.path.join(SHARED, "cases", "networks")
    made = os.path.join(folder, "cases")
    environment = {**os.environ, "PYTHONPATH": ROOT}
    for script, words in (("make_networks.py", ["all", made]), ("make_legacy.py", [os.path.join(made, "plain"), made])):
        subprocess.run([sys.executable, os.path.join(cases, script), *words], check=True, env=environment,
                       capture_output=True)
    return os.path.join(made, name), GRAY.get(name, (3, 32, 32))


def _of_gluon(name, prefix):
    """Export a zoo's network as its users do, ``HybridBlock.export``, with random weights."""
    from gluoncv.model_zoo import get_model as of_gluoncv

    from mxft.compat import mx
    from mxft.machine.quiet import quiet_native

    mx.random.seed(0)
    options = {} if "_voc" in name or "_ade" in name or "pose" in name else {"pretrained": False}
    net = of_gluoncv(name, pretrained_base=False, **options) if not options else of_gluoncv(name, **options)
    class Random(mx.init.Xavier):
        def _init_weight(self, name, value):
            if value.ndim > 1:
                super()._init_weight(name, value)
            else:
                value[:] = 1

    net.initialize(Random(rnd_type="gaussian", factor_type="in", magnitude=2))
    net.hybridize()
    size = GLUON[name]
    with quiet_native():
        net(mx.nd.random.uniform(0, 1, (1, 3, size, size)))
        net.export(prefix)
    return prefix


def case_names():
    """Return the names of the small networks of ../shared/cases/networks."""
    with tempfile.TemporaryDirectory() as folder:
        prefix, _ = files_of("plain", folder)
        return sorted(name[:-len("-symbol.json")] for name in os.listdir(os.path.dirname(prefix))
                      if name.endswith("-symbol.json"))


def row(name):
    """Return (what each output is, {door: number or sentence}) of a network."""
    from mxft.network.checkpoint import load_checkpoint
    from tests.support.doors import DOORS, Door, Refused, apart

    with tempfile.TemporaryDirectory() as folder:
        prefix, shape = files_of(name, folder)
        found = {}
        try:
            checkpoint = load_checkpoint(f"{prefix},0")
            anatomy = checkpoint.anatomy
            main = anatomy.output()
            kinds = {each.name: each.kind for each in (main, *(each for each in anatomy.served if each != main))}
        except Exception as error:
            return {}, {"opened": str(error)}
        door = Door(folder, prefix, shape, 1.0 if name in CHECKPOINTS else 64.0)  # random weights want small numbers
        try:
            plain = door.plain()
        except Exception as error:
            found["MXNet itself, then checked against it in today's terms"] = str(error).strip().splitlines()[-1][:90]
            try:
                plain = door.plain(checkpoint)
            except Exception:  # several inputs: what every door must refuse
                plain = {}
        plain = {output.name: plain.get(_own_name(output, plain)) for output in anatomy.served if plain}
        for each in DOORS:
            try:
                found[each] = apart(each, kinds, getattr(door, each)(), plain)
            except Refused as refusal:
                found[each] = str(refusal)
        return kinds, found


def _own_name(output, plain):
    return output.name if output.name in plain else list(plain)[output.position]


def main(names):
    """Print the table."""
    worst = 0.0
    for name in names or [*CHECKPOINTS, *SYMBOLS, *case_names(), *GLUON]:
        kinds, found = row(name)
        numbers = [value for value in found.values() if isinstance(value, float)]
        worst = max([worst, *numbers])
        told = "  ".join(f"{door} {value:.1e}" for door, value in found.items() if isinstance(value, float))
        print(f"{name}: {', '.join(f'{output} {kind}' for output, kind in kinds.items())}\n    {told}", flush=True)
        for sentence in dict.fromkeys(value for value in found.values() if not isinstance(value, float)):
            doors = ", ".join(door for door, value in found.items() if value == sentence)
            print(f"    {doors}: {sentence}", flush=True)
    print(f"largest difference: {worst:.1e}")
    return int(not worst <= LIMIT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
