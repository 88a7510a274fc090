"""A warm process that runs one command per fork."""
