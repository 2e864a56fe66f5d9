"""The access log: lines of JSON, in a file that logrotate moves, or on stderr."""
import json
import os

import pytest

from mxft.deploy.serving.access_log import AccessLog
from mxft.errors import InputError


def test_the_access_log_is_json_and_survives_logrotate(tmp_path, capsys):
    log = AccessLog(str(tmp_path / "log"))
    log.write(path="/a\n", status=200)
    os.rename(tmp_path / "log", tmp_path / "log.1")
    log.write(path="/b", status=404)
    log.close()
    first, second = (json.loads((tmp_path / name).read_text()) for name in ("log.1", "log"))
    assert first["path"] == "/a\n" and second["status"] == 404 and first["time"].endswith("+00:00")
    AccessLog("-").write(status=1)
    AccessLog(None).write(status=2)
    assert json.loads(capsys.readouterr().err)["status"] == 1
    with pytest.raises(InputError, match="access_log: expected a file that can be written, received access_log="):
        AccessLog(str(tmp_path / "no" / "log"))
