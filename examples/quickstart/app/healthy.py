"""Health check: exit 0 when http://127.0.0.1:PORT/healthz answers 200.

Usage: healthy.py PORT
"""

import http.client
import sys

port = int(sys.argv[1])
try:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/healthz")
    status = connection.getresponse().status
except OSError as error:
    sys.exit(f"port {port}: {error}")
if status != 200:
    sys.exit(f"port {port}: HTTP {status}")
