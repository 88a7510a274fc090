"""Blobs, manifests, layers, snapshots, import and export: what an image is on disk."""
