"""Have processes compute for so long; print the CPU seconds that they were given, and the seconds that it took.

Takes number of processes and seconds.
"""

import json
import os
import sys
import time

count, seconds = map(json.loads, sys.argv[1:3])
began = time.monotonic()
children = []
for _ in range(count):
    child = os.fork()
    if child == 0:
        while time.monotonic() < began + seconds:
            pass
        os._exit(0)
    children.append(child)
for each in children:
    os.waitpid(each, 0)
used = os.times()
found = {"cpu": used.children_user + used.children_system, "seconds": time.monotonic() - began}
json.dump(found, sys.stdout)
