"""`python -I -m stackfile.engines.embedded.checks`: the findings as JSON, where no daemon can be asked."""

from __future__ import annotations

import json
import sys

from stackfile import settings
from stackfile.engines.embedded.checks import machine


def main() -> None:
    keys = ("check", "status", "found", "mend")
    json.dump([dict(zip(keys, row, strict=True)) for row in machine(settings.load())], sys.stdout)


if __name__ == "__main__":
    main()
