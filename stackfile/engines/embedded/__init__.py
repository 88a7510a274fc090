"""The embedded engine: composes images, build, runtime and network into an Engine.

`engine.EmbeddedEngine` is the facade; each other module is one concept of it. They share the low-level parts
(`parts.Parts`) and the containers in memory (`registry.Registry`); events go out through one bus.
"""
