"""Read the news once an hour, and say how much there was."""

import signal
import sys
import time
import urllib.request

NEWS = "https://news.example.com/"

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
while True:
    try:
        with urllib.request.urlopen(NEWS, timeout=10) as answer:
            print(f"{NEWS}: {len(answer.read())} bytes")
    except OSError as error:
        print(f"{NEWS}: {error}")
    time.sleep(3600)
