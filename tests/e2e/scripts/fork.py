"""Fork until it is refused or the given number is reached; print how often it went well, and the error's name."""

import errno
import json
import os
import signal
import sys

children: list[int] = []
name = ""
try:
    while len(children) < json.loads(sys.argv[1]):
        child = os.fork()
        if child == 0:
            signal.pause()
        children.append(child)
except OSError as error:
    name = errno.errorcode[error.errno or 0]
for each in children:
    os.kill(each, signal.SIGKILL)
for each in children:
    os.waitpid(each, 0)
json.dump({"forked": len(children), "error": name}, sys.stdout)
