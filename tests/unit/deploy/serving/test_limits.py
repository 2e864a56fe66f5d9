"""Limits of memory and processor time, counted from where the process stands."""
import subprocess
import sys

import pytest


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_AS holds on Linux")
def test_limits_hold_from_where_the_process_stands():
    code = ("from mxft.deploy.serving.limits import *\nimport time\nleave_no_core()\nkept = bytes(300 << 20)\n"
            "limit_memory(200)\nfor _ in range(3):\n    limit_processor_time(0.5, 1)\n"
            "    end = time.process_time() + 1.2\n    while time.process_time() < end: pass\n"
            "try:\n    bytes(300 << 20)\nexcept MemoryError:\n    print('refused', flush=True)\nwhile True: pass")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "refused\n" and done.returncode == -24  # SIGXCPU, at last
