"""Visits its team's API every ten seconds."""

import sys
import time
import urllib.request

while True:
    with urllib.request.urlopen(sys.argv[1], timeout=5) as response:
        print(response.read().decode(), end="")
    time.sleep(10)
