"""Benchmarks: ours against a peer in the same run, as ratios, since machines are noisy.

`sudo .venv/bin/python -m tests.bench [NAME…]` prints both absolute times and their ratio. Not part of the test
command: a time is not a test.
"""
