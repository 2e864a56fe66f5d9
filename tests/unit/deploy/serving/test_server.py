"""The clients' addresses behind a proxy, and that the front computes nothing."""
import subprocess
import sys

import pytest

pytest.importorskip("waitress")
pytest.importorskip("flask")

from mxft.deploy.serving.options import ServingOptions  # noqa: E402
from mxft.deploy.serving.server import behind_proxies  # noqa: E402


@pytest.mark.parametrize("peer, header, seen", [
    ("198.51.100.7", "192.0.2.1", "198.51.100.7"), ("10.0.0.1", "192.0.2.1", "192.0.2.1"),
    ("10.0.0.1", "6.6.6.6, 192.0.2.1", "192.0.2.1"), ("10.0.0.1", "6.6.6.6, 192.0.2.1, 10.0.0.2", "192.0.2.1"),
    ("10.0.0.1", "", "10.0.0.1"), ("10.0.0.1", "6.6.6.6, <script>", "10.0.0.1"),
    ("10.0.0.1", "2001:db8::1", "2001:db8::1")])
def test_the_clients_address_is_what_a_proxy_of_ours_says(peer, header, seen):
    app = behind_proxies(lambda environ, start: environ["REMOTE_ADDR"], ServingOptions(proxy=("10.0.0.0/24",)))
    assert app({"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": header}, None) == seen


def test_the_front_needs_no_mxnet():
    code = ("import sys\nimport mxft.cli.serve, mxft.deploy.serving.server, mxft.deploy.serving.pool\n"
            "import mxft.deploy.serving.application, mxft.deploy.bundle.opening, mxft.faces.serving.application\n"
            "print([name for name in ('mxnet', 'cv2', 'numpy', 'PIL') if name in sys.modules])")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
