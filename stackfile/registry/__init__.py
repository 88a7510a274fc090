"""Distribution client (OCI distribution-spec, Docker Registry HTTP API v2).

What belongs here: hosts and TLS, authentication, manifests and blobs over HTTP. What does not: what becomes of a blob
(images). Everything blocks and is meant for threads; `requests` is imported with `session`, so import that late.
"""
