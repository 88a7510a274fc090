"""A worker: adds one item of its kind to the store, every so many seconds.

Usage: worker.py KIND
"""

import itertools
import json
import logging
import os
import signal
import sys
import time
import urllib.request

STORE_URL = os.environ["STORE_URL"]
STORE_TOKEN = os.environ["STORE_TOKEN"]


def add(kind: str, text: str) -> int:
    """Put an item into the store; returns how many it holds."""
    request = urllib.request.Request(
        f"{STORE_URL}/items",
        data=json.dumps({"kind": kind, "text": text}).encode(),
        headers={"Authorization": f"Bearer {STORE_TOKEN}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=5) as response:
        return json.load(response)["count"]


def main() -> None:
    (kind,) = sys.argv[1:]
    logging.basicConfig(stream=sys.stdout, level=os.environ["LOG_LEVEL"].upper(), format="%(levelname)s %(message)s")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    logging.debug("every %s s to %s", os.environ["EVERY"], STORE_URL)
    for number in itertools.count(1):
        try:
            logging.info("%s %d stored, %d items in all", kind, number, add(kind, f"{kind} {number}"))
        except OSError as error:
            logging.warning("the store does not answer: %s", error)
        time.sleep(float(os.environ["EVERY"]))


if __name__ == "__main__":
    main()
