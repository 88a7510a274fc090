"""Seams between deciding and doing: protocols and types only.

`Engine` speaks Docker's nouns and is what an engine that holds containers implements. `Provider` stands above it, in
terms of a stack's resources; the reconciler knows Provider alone. `StepRunner` runs one build step. Nothing here does
anything.
"""
