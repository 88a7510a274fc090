"""Schemas as forward migrations. Append only: a released script is never edited."""

from __future__ import annotations

STATE = (
    """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE images (id TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE tags (name TEXT PRIMARY KEY, image TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX tags_image ON tags (image);
    CREATE TABLE build_cache (key TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE containers (
        id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, project TEXT NOT NULL, service TEXT NOT NULL,
        spec TEXT NOT NULL, state TEXT NOT NULL, place TEXT NOT NULL, created TEXT NOT NULL, desired TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE networks (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, project TEXT NOT NULL, record TEXT NOT NULL)
        WITHOUT ROWID;
    CREATE TABLE volumes (name TEXT PRIMARY KEY, project TEXT NOT NULL, record TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE projects (name TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE files (
        project TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, key TEXT NOT NULL, number INTEGER NOT NULL,
        PRIMARY KEY (project, kind, name, key)
    ) WITHOUT ROWID;
    CREATE INDEX files_key ON files (key);
    CREATE TABLE events (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, time_ns INTEGER NOT NULL, kind TEXT NOT NULL, action TEXT NOT NULL,
        id TEXT NOT NULL, attributes TEXT NOT NULL
    );
    """,
)

RUN = (
    """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE intents (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, key TEXT NOT NULL,
        data TEXT NOT NULL);
    CREATE TABLE leases (network TEXT NOT NULL, address TEXT NOT NULL, owner TEXT NOT NULL,
        PRIMARY KEY (network, address)) WITHOUT ROWID;
    CREATE INDEX leases_owner ON leases (owner);
    CREATE TABLE running (container TEXT PRIMARY KEY, pid INTEGER NOT NULL, start_time INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE ports (owner TEXT NOT NULL, protocol TEXT NOT NULL, host_ip TEXT NOT NULL, host_port INTEGER NOT NULL,
        PRIMARY KEY (protocol, host_ip, host_port)) WITHOUT ROWID;
    """,
)
