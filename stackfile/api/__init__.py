"""`import stackfile`: load, plan, apply, connect. Reaches every engine over HTTP."""
