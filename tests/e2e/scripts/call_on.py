"""Call the sidecar until it is stopped; print a line for each call: when it began and ended, status, and what was said.

Takes seconds from one call to the next, path and body, and says only what it did not get: each line is
`[began, ended, status, said]` with Unix seconds. Without an answer, the status is 0.
"""

import http.client
import json
import signal
import sys
import time

MOST_SAID = 500
pause, path, body = (json.loads(each) for each in sys.argv[1:])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


def call() -> tuple[int, str]:
    sidecar = http.client.HTTPConnection("127.0.0.1", 8811, timeout=30)
    try:
        sidecar.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = sidecar.getresponse()
        said = answer.read().decode(errors="replace")
        return answer.status, "" if answer.status == 200 else said[:MOST_SAID]
    except (OSError, http.client.HTTPException) as error:
        return 0, repr(error)
    finally:
        sidecar.close()


while True:
    began = time.time()
    status, said = call()
    sys.stdout.write(f"{json.dumps([began, time.time(), status, said])}\n")
    sys.stdout.flush()
    time.sleep(max(0.0, began + pause - time.time()))
