"""The counters as Prometheus reads them."""
import pytest

pytest.importorskip("prometheus_client")

from mxft.deploy.serving.metrics import Metrics  # noqa: E402


def test_metrics_have_few_labels():
    metrics = Metrics()
    metrics.watch(queue=lambda: 3)
    for path in ("/predict", "/v2/models/a/infer", "/v2/models/b/infer", "/etc/passwd", "/x"):
        metrics.count(path, 200, 0.02)
    text = metrics.text().decode()
    assert 'mxft_requests_total{path="infer",status="200"} 2.0' in text and "mxft_queue_depth 3.0" in text
    assert 'mxft_requests_total{path="other",status="200"} 2.0' in text and "passwd" not in text
