"""Names for containers: DNS in a process of its own."""
