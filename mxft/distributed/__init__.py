"""Training over many processes and machines on MXNet's own ps-lite: who takes part, and how they are started and ended.

A scheduler brings servers and workers together; workers compute gradients, servers sum them and update the parameters.
Whoever starts the processes, tools/launch.py or a cluster's own machinery, tells each of them its part in the
variables ``DMLC_*`` (dmlc-core's tracker, ps-lite docs/env.md).
"""
