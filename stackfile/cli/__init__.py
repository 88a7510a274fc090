"""One verb per file: register(), run(). Output, progress, exit codes."""
