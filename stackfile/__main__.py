"""`python -m stackfile`: where argv arrives."""

from __future__ import annotations

import sys

from stackfile.cli import main

sys.exit(main(sys.argv[1:]))
