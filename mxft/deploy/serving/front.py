"""What all addresses of the service share: the processes, who is let in, what is counted; the same for every worker."""
import dataclasses
import threading

from flask import request

from mxft.deploy.serving.admission import Admission

JOB = "mxft.job"  # in a request's environment, for the access log


@dataclasses.dataclass
class Front:
    """One service, without a word of what it serves.

    Parameters
    ----------
    pool : mxft.deploy.serving.pool.Pool
    options : mxft.deploy.serving.options.ServingOptions
    metrics : mxft.deploy.serving.metrics.Metrics
    hosts : sequence of str
        Names the service is reached by, beside any numeric address.
    """

    pool: object
    options: object
    metrics: object
    hosts: tuple = ("localhost",)

    def __post_init__(self):
        self.admission = Admission(self.options.under_way, self.options.per_address)
        self.stopping = threading.Event()

    @property
    def ready(self):
        """Whether the next request would be let in and find a process with the network bound."""
        return self.pool.ready and not self.admission.full and not self.stopping.is_set()

    def ask(self, verb, parts):
        """Have the request that is being answered computed; called while Flask answers it.

        Parameters
        ----------
        verb : str
            Of the worker.
        parts : callable
            Returns the list of bytes; called when the request is let in, so that no more bodies are read than that.

        Returns
        -------
        dict
            For JSON.

        Raises
        ------
        Refused
        """
        with self.admission.admitted(request.remote_addr or "", request.content_length or 0):
            job = self.pool.submit(verb, parts())
        request.environ[JOB] = job
        self.metrics.waited.observe(job.queue_ms / 1e3)
        return job.outcome
