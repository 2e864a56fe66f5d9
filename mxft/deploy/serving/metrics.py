"""What the service counts, in the form Prometheus reads: all of it in the front, which no picture ends."""
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

SECONDS = (.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20)
BATCHES = (1, 2, 4, 8, 16, 32, 64)
PATHS = ("/predict", "/verify", "/identify", "infer")  # told apart in the metrics; all others are "other"


class Metrics:
    """The counters of one service, in a registry of their own.

    Examples
    --------
    >>> metrics = Metrics()
    >>> metrics.refused.labels("queue").inc()
    >>> b'mxft_refused_total{reason="queue"} 1.0' in metrics.text()
    True
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self):
        self.registry = registry = CollectorRegistry()
        self.requests = Counter("mxft_requests", "Requests answered", ["path", "status"], registry=registry)
        self.seconds = Histogram("mxft_request_seconds", "From a whole request to its answer", ["path"],
                                 buckets=SECONDS, registry=registry)
        self.waited = Histogram("mxft_queue_seconds", "Wait for a process", buckets=SECONDS, registry=registry)
        self.batches = Histogram("mxft_batch_size", "Requests computed together", buckets=BATCHES, registry=registry)
        self.refused = Counter("mxft_refused", "Requests and connections refused", ["reason"], registry=registry)
        self.restarts = Counter("mxft_process_restarts", "Processes that died and were started again",
                                registry=registry)
        self._queue = Gauge("mxft_queue_depth", "Requests that wait for a process", registry=registry)
        self._ready = Gauge("mxft_processes_ready", "Processes with the network bound", registry=registry)
        self._connections = Gauge("mxft_connections", "Open connections", registry=registry)

    def watch(self, queue=None, ready=None, connections=None):
        """Ask these functions for the gauges whenever they are read."""
        for gauge, function in ((self._queue, queue), (self._ready, ready), (self._connections, connections)):
            if function:
                gauge.set_function(function)

    def count(self, path, status, seconds):
        """Count one answered request.

        Parameters
        ----------
        path : str
        status : int
        seconds : float
        """
        path = "infer" if path.endswith("/infer") else path
        path = path if path in PATHS else "other"
        self.requests.labels(path, str(status)).inc()
        self.seconds.labels(path).observe(seconds)

    def text(self):
        """Return the page of ``/metrics``, as bytes."""
        return generate_latest(self.registry)
