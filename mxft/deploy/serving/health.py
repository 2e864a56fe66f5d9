"""Whether the service lives, whether it is ready, and what it has counted: for Kubernetes, systemd and Prometheus."""
from flask import Response, abort, jsonify, request


def add_health(app, front):
    """Add the addresses of probes and metrics to an application.

    Parameters
    ----------
    app : flask.Flask
    front : mxft.deploy.serving.front.Front

    Notes
    -----
    Alive is the front that answers, whatever its processes do: it restarts them itself, and a restart of the whole
    would repair nothing. Ready is a service of which a process has the network bound, whose queue has a place, and
    which is not being stopped. ``/metrics`` is for this machine, or the networks of `metrics_from`.
    """
    @app.get("/healthz")
    @app.get("/v2/health/live")
    def live():
        return jsonify(live=True)

    @app.get("/v2/health/ready")
    def ready():
        return jsonify(ready=front.ready), 200 if front.ready else 503

    @app.get("/metrics")
    def metrics():
        if not front.options.may_read_metrics(request.remote_addr or ""):
            abort(403, f"The metrics are not for {request.remote_addr}; --metrics-from names who may read them.")
        return Response(front.metrics.text(), content_type=front.metrics.content_type)
