"""JSON of model, plan and errors: what crosses a process border, and the canonical form that hashes are made of."""
