"""The supervisor: starts the others, holds what must survive them, reaps orphans."""
