"""All of the doctor's checks in order."""
from functools import partial

from mxft.doctor import caches, dependencies, engines, interpreter, mxnet_build, nvidia, processor, smoke, switches
from mxft.doctor.check import look
from mxft.doctor.child import ask
from mxft.machine.cuda import mxnet_distributions
from mxft.machine.processor import cpu_flags

_IMPORT_LIMIT, _DRIVER_LIMIT = 120, 60


def examine(with_smoke=True):
    """Look at everything.

    Parameters
    ----------
    with_smoke : bool
        Train for three seconds, on the CPU and, with mxnet-cu112, on the first card it runs on.

    Returns
    -------
    list of mxft.doctor.check.Section

    Notes
    -----
    Nothing is changed and nothing is downloaded. mxnet and the driver are asked in processes of their own, so that
    neither a crash nor a hang in them ends the examination.
    """
    builds = mxnet_distributions()
    cuda_build = any(name != "mxnet" for name in builds)
    # under DMLC_ROLE=server the import would never return; the switches tell
    mxnet = ask("mxnet", _IMPORT_LIMIT, {"DNNL_VERBOSE": "1", "DMLC_ROLE": None})
    driver = ask("driver", _DRIVER_LIMIT)
    torch = ask("pytorch", _IMPORT_LIMIT)
    libraries = ask("cuda_libraries", _DRIVER_LIMIT) if cuda_build else None
    flags, found = cpu_flags(), dependencies.import_all()
    runnable = [str(card.number) for card in nvidia.told_cards(driver) if card.runs_wheel] if cuda_build else []
    return [
        look("Python", interpreter.python, interpreter.system, partial(dependencies.base, found), interpreter.opencv),
        look("Extras", partial(dependencies.extras, found)),
        look("MXNet", partial(mxnet_build.installed, builds), partial(mxnet_build.imported, builds, mxnet),
             partial(mxnet_build.features, mxnet)),
        look("CPU", partial(processor.onednn, mxnet, flags), partial(processor.openblas, mxnet, flags),
             partial(processor.threads, mxnet)),
        look("NVIDIA", partial(nvidia.driver, driver, cuda_build), partial(nvidia.cards, driver, cuda_build),
             partial(nvidia.libraries, libraries, cuda_build),
             partial(nvidia.fusion, driver, libraries)),
        look("Second engine", partial(engines.pytorch, torch, nvidia.told_cards(driver), cuda_build)),
        look("Switches", partial(switches.set_by_mxft, mxnet), switches.set_by_user,
             partial(switches.cures, mxnet)),
        look("Training", *(partial(smoke.smoke, device, bool(mxnet.value), with_smoke)
                           for device in ("cpu", *runnable[:1]))),
        look("Caches", caches.caches),
    ]
