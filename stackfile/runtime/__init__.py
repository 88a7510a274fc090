"""The OCI runtime: instructions for a container, the shim that carries them out, stdio, logs, cgroups."""
