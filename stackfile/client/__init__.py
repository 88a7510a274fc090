"""The `stackfile` script, valid as sh and as Python: the thin client."""
