"""What `mxft.doctor.child` answers in a process of its own: each function returns what JSON can carry."""
import ctypes
import glob
import importlib
import importlib.metadata
import os
import time

_SMOKE_CLASSES, _SMOKE_SIZE, _LEAST_STEPS = 4, 16, 10


def driver():
    """Return what the NVIDIA driver says of itself and its cards, None where there is no driver."""
    from mxft.machine.cards import query_driver

    told = query_driver()
    return {"driver": told and {"cuda": told.cuda, "trouble": told.trouble, "cards": told.cards}}


def cuda_libraries():
    """Load the libraries mxnet-cu112 links one after the other.

    Returns {"libraries": {soname: {"path", "error"}}, "compiler": CUDA version of NVRTC or None}. A library that no
    package brings is looked for where the system looks. cuDNN's convolutions need libz, which no package of NVIDIA's
    brings: it stands at the end.
    """
    from mxft.machine.cuda import LIBRARIES, compiler_version, find_library

    found = {}
    for library in LIBRARIES:
        found[library.soname] = _load(find_library(library) or library.soname)
    found["libz.so.1"] = _load("libz.so.1")
    return {"libraries": found, "compiler": compiler_version()}


def _load(name):
    try:
        ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        return {"path": None, "error": str(error)}
    return {"path": name if os.path.isabs(name) else _place(name), "error": None}


def _place(soname):
    """Return the file a loaded library comes from; its soname where the system does not tell."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as f:
        paths = sorted({line.split(maxsplit=5)[-1].strip() for line in f if "/" in line})
    stem = soname.partition(".so")[0] + ".so"
    return next((path for path in paths if os.path.basename(path).startswith(stem)), soname)


def imports(modules):
    """Import packages one after the other: {module: {"version"}, {"missing": True} or {"error"}}.

    GluonCV, which imports mxnet, is looked for only; its models load it through `mxft.compat`.
    """
    from mxft.machine.packages import KNOWN, is_installed

    found = {}
    for module in modules:
        if not is_installed(module):
            found[module] = {"missing": True}
            continue
        try:
            loaded = None if module == "gluoncv" else importlib.import_module(module)
            found[module] = {"version": _version(KNOWN[module].name, loaded)}
        except Exception as error:  # whatever a broken package raises
            found[module] = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:300]}
    return found


def _version(package, module):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # opencv-python-headless brings cv2 too
        return str(getattr(module, "__version__", "of unknown version"))


def pytorch():
    """Return PyTorch's version and the devices it finds, None where it is not installed."""
    from mxft.machine.packages import is_installed

    if not is_installed("torch"):
        return {"torch": None}
    import torch

    cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    devices = {f"cuda:{number}": torch.cuda.get_device_name(number) for number in range(cuda)}
    if torch.backends.mps.is_available():
        devices["mps"] = "Apple"
    if hasattr(torch, "xpu") and torch.xpu.is_available():
        devices.update((f"xpu:{number}", torch.xpu.get_device_name(number))
                       for number in range(torch.xpu.device_count()))
    return {"torch": torch.__version__, "devices": devices}


def opencv():
    """Return OpenCV's version."""
    from mxft.compat import load_cv2

    return {"version": load_cv2().__version__}


def mxnet():
    """Import mxnet through `mxft.compat`; return its version, place, features, and what was done to get it.

    With ``DNNL_VERBOSE=1`` oneDNN says on standard output, at the convolution, which instruction set it takes.
    """
    from mxft.compat import load_mxnet, restore_numpy_names

    started, names, before = time.perf_counter(), restore_numpy_names(), dict(os.environ)
    mx = load_mxnet()
    seconds = time.perf_counter() - started
    mx.nd.Convolution(mx.nd.ones((1, 16, 8, 8)), mx.nd.ones((16, 16, 3, 3)), kernel=(3, 3), num_filter=16,
                      no_bias=True).wait_to_read()
    return {"version": mx.__version__, "folder": os.path.dirname(mx.__file__), "seconds": round(seconds, 2),
            "features": [name for name, feature in mx.runtime.Features().items() if feature.enabled],
            "numpy_names": names, "openblas": _openblas(os.path.dirname(mx.__file__)),
            "set": {name: value for name, value in os.environ.items()
                    if name.startswith(("MXNET_", "OMP_")) and before.get(name) != value},
            "fused_batch_norm": _fused_batch_norm_runs()}


def _openblas(folder):
    """Return {"config", "core"} of the OpenBLAS in the wheel, None where there is none or it does not tell."""
    try:
        library = ctypes.CDLL(glob.glob(os.path.join(glob.escape(folder), "libopenblas*"))[0])
        answers = {}
        for key, function in (("config", library.openblas_get_config), ("core", library.openblas_get_corename)):
            function.restype = ctypes.c_char_p
            answers[key] = function().decode(errors="replace")
        return answers
    except (IndexError, OSError, AttributeError):
        return None


def _fused_batch_norm_runs():
    from mxft.rewrite.training.batch_norm_relu import fused_batch_norm_runs

    return bool(fused_batch_norm_runs())


def training(device, seconds):
    """Train a tiny network for some seconds, ten steps at least, on squares of noise, each class around its own mean.

    Parameters
    ----------
    device : str
        ``"cpu"``, or ``"0"`` for the first card.
    seconds : float

    Returns
    -------
    dict
        Steps, images a second, and the cross-entropy at the first and the last step.
    """
    import numpy as np

    from mxft.compat import mx

    rng = np.random.RandomState(0)
    labels = np.arange(32) % _SMOKE_CLASSES
    images = rng.normal(0, 1, (32, 3, _SMOKE_SIZE, _SMOKE_SIZE)) + labels[:, None, None, None]
    batch = mx.io.DataBatch([mx.nd.array(images)], [mx.nd.array(labels)])
    module = mx.mod.Module(_tiny_network(mx), context=mx.cpu() if device == "cpu" else mx.gpu(int(device)))
    module.bind([("data", images.shape)], [("softmax_label", labels.shape)])
    mx.random.seed(0)
    module.init_params(mx.init.Xavier())
    module.init_optimizer(kvstore=None, optimizer="sgd", optimizer_params={"learning_rate": 0.02, "momentum": 0.9})
    losses, started = [], None
    while len(losses) < _LEAST_STEPS or time.perf_counter() - started < seconds:
        module.forward_backward(batch)
        module.update()
        scores = module.get_outputs()[0].asnumpy()  # waits for the step
        started = started or time.perf_counter()    # the first step is not counted
        losses.append(float(-np.log(scores[range(len(labels)), labels] + 1e-12).mean()))
    took = time.perf_counter() - started
    return {"steps": len(losses), "seconds": round(took, 2), "images_per_second": round(32 * (len(losses) - 1) / took),
            "first_loss": round(losses[0], 4), "last_loss": round(losses[-1], 4)}


def _tiny_network(mx):
    net = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(3, 3), num_filter=16, name="conv0")
    net = mx.sym.Activation(mx.sym.BatchNorm(net, fix_gamma=False, name="bn0"), act_type="relu", name="relu0")
    net = mx.sym.Pooling(net, global_pool=True, kernel=(1, 1), pool_type="avg", name="pool0")
    net = mx.sym.FullyConnected(mx.sym.Flatten(net), num_hidden=_SMOKE_CLASSES, name="fc1")
    return mx.sym.SoftmaxOutput(net, name="softmax")
