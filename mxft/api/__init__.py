"""The front door for Python: each job in one call, with paths or values, as `mxft` gives it at top level.

What the calls do is told on the standard streams, as the commands tell it; a program that has given the logger ``mxft``
(or the root logger) a handler of its own gets the same lines there instead.
"""
