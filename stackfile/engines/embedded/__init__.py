"""The embedded engine: composes images, runtime, network and build."""
