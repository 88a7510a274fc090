"""One verb per file: `register()` describes it, `run()` does it and returns the exit code."""
