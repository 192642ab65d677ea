"""The command line, `ringfence` or `kubectl ringfence`: what is wrong, who uses how much, who may do what and why.

A package beside the client library's, not in it: a library is imported whole, and a command line is started often.
Layers: `commands` ask with `kube`, decide with the pure modules beside them (`doctor`, `explain`, …), and show with
`output`.
"""

__version__ = "0.1.0"
