"""Docker's JSON, made from the model and read into it. Pure functions: no engine, no clock, no HTTP.

Keys and types are those of Docker Engine 20.10, with what API 1.42 adds: lists and objects are never null where
Docker gives `[]` and `{}`. `dict[str, Any]` ends here.
"""
