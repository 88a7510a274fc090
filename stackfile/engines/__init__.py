"""Engines behind the Engine and Provider seams; `embedded` is ours."""
