"""Variables that change what MXNet does: those mxft sets, those the user has set, and what they cost."""
import os

from mxft.doctor.check import BROKEN, OK, SKIPPED, WARNING, Check

PREFIXES = ("MXNET_", "MXFT_", "OMP_", "KMP_", "GOMP_", "DNNL_", "MKLDNN_", "OPENBLAS_", "CUDA_", "NVIDIA_", "NCCL_",
            "DMLC_", "PS_")
ALSO = ("LD_LIBRARY_PATH", "LD_PRELOAD")
_OFF, _ON = ("0", "false", "False"), ("1", "2", "true", "True")
# variable: values that hurt (None: all), what they do, cure
_HARMFUL = {
    "MXNET_MKLDNN_ENABLED": (_OFF, "oneDNN is off: a third of the images a second", "unset it"),
    "MXNET_SUBGRAPH_BACKEND": (("NONE",), "no fused operators: a fifth fewer images a second in scoring",
                               "unset it; mxft cures the crash it is set for by a Flatten in the bound graph"),
    "MXNET_ENGINE_TYPE": (("NaiveEngine",), "one operator at a time: for debugging", "unset it"),
    "DNNL_VERBOSE": (_ON, "oneDNN prints a line for every operator", "unset it"),
    "MKLDNN_VERBOSE": (_ON, "oneDNN prints a line for every operator", "unset it"),
    "LD_PRELOAD": (None, "what is loaded first takes the place of MXNet's own libraries", "unset it if in doubt"),
}


def set_by_user():
    """Look at the variables of MXNet and its libraries in the environment; one finding more for each that hurts."""
    given = {name: value for name, value in sorted(os.environ.items()) if name.startswith(PREFIXES) or name in ALSO}
    listed = " ".join(f"{name}={value}" for name, value in given.items())
    checks = [Check("set by you", OK if given else SKIPPED, listed or "nothing", facts={"set": given})]
    for name, (values, effect, cure) in _HARMFUL.items():
        if given.get(name) and (values is None or given[name] in values):
            checks.append(Check(name, WARNING, f"{given[name]}: {effect}", cure))
    if given.get("DMLC_ROLE") in ("server", "scheduler"):
        checks.append(Check("DMLC_ROLE", BROKEN, f"{given['DMLC_ROLE']}: import mxnet becomes that process of a "
                                                 "cluster and never returns", "unset DMLC_ROLE; a launcher sets it"))
    return checks


def set_by_mxft(answer):
    """Look at what `mxft.compat` set for mxnet."""
    if answer.value is None:
        return Check("set by mxft", SKIPPED, "mxnet does not load")
    done = answer.value["set"]
    return Check("set by mxft", OK, " ".join(f"{name}={value}" for name, value in sorted(done.items())) or "nothing",
                 facts={"set": done})


def cures(answer):
    """Look at the cures for MXNet's known defects that are in force on this machine."""
    if answer.value is None:
        return Check("cures", SKIPPED, "mxnet does not load")
    names, fused = answer.value["numpy_names"], answer.value["fused_batch_norm"]
    return [Check("NumPy names", OK, f"{len(names)} put back that this NumPy lacks" if names else "none to put back",
                  facts={"names": names}),
            Check("rewrites", OK, "flatten cures a crash of fully connected layers, frozen-weight a gradient they "
                  "forget; prelu, pad and others are for speed"
                  + (", BatchNorm runs fused with its ReLU" if fused else ", BatchNorm runs without its ReLU")
                  + " (--no-rewrite leaves those out)", facts={"fused_batch_norm": fused})]
