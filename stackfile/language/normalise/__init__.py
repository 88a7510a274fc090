"""Phase 5b: trees without templates → the dataclasses of the model. One concept a file.

Each parser takes a node and gives a value, or raises StackError; `Fields` gathers these, so that all mistakes of a file
are reported at once.
"""
