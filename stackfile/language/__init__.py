"""Stack files: source, template, interpolate, merge, normalise, validate, and then a Stack; a phase a file. Pure, but
for reading the files it is told to read.
"""
