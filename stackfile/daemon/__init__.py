"""The daemon: composition root and HTTP routes, a file per resource."""
