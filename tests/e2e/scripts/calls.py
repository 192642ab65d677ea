"""Call the sidecar again and again, on one connection; print when each call began and ended, and its status.

Takes seconds; times are Unix seconds. A call costs one of apiCalls: it puts a value of the agent's own away.
"""

import http.client
import json
import sys
import time

PAUSE = 0.002
seconds = json.loads(sys.argv[1])
sidecar = http.client.HTTPConnection("127.0.0.1", 8811, timeout=10)
until = time.time() + seconds
found = []
while time.time() < until:
    began = time.time()
    sidecar.request("PUT", "/v1/cache/bench", '{"value": 1}', {"Content-Type": "application/json"})
    answer = sidecar.getresponse()
    answer.read()
    found.append((began, time.time(), answer.status))
    time.sleep(PAUSE)
json.dump(found, sys.stdout)
