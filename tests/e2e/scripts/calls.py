"""Call the sidecar again and again, on one connection; print when each call began and ended, and its status.

Takes seconds, method, path and body; times are Unix seconds.
"""

import http.client
import json
import sys
import time

PAUSE = 0.002
seconds, method, path, body = (json.loads(each) for each in sys.argv[1:])
sidecar = http.client.HTTPConnection("127.0.0.1", 8811, timeout=10)
until = time.time() + seconds
found = []
while time.time() < until:
    began = time.time()
    sidecar.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
    answer = sidecar.getresponse()
    answer.read()
    found.append((began, time.time(), answer.status))
    time.sleep(PAUSE)
json.dump(found, sys.stdout)
