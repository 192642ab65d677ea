"""Fork until it is refused or the given number is reached; print how often it went well, and the error's name.

Of one that is refused, print the milliseconds that the refusal took, too.
"""

import errno
import json
import os
import signal
import sys
import time

children: list[int] = []
name, took = "", {}
try:
    while len(children) < json.loads(sys.argv[1]):
        began = time.perf_counter()
        child = os.fork()
        if child == 0:
            signal.pause()
        children.append(child)
except OSError as error:
    name, took = errno.errorcode[error.errno or 0], {"ms": (time.perf_counter() - began) * 1000}
for each in children:
    os.kill(each, signal.SIGKILL)
for each in children:
    os.waitpid(each, 0)
json.dump({"forked": len(children), "error": name, **took}, sys.stdout)
