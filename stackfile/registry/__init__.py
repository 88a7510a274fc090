"""Distribution client and server (OCI distribution-spec)."""
