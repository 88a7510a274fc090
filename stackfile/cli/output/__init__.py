"""What a person reads: the console, progress, plans, tables, errors; and the JSON shapes for programs."""
