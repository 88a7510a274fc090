BEGIN TRANSACTION;
CREATE TABLE build_cache (key TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "build_cache" VALUES('build_cache key','build_cache record');
CREATE TABLE containers (
        id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, project TEXT NOT NULL, service TEXT NOT NULL,
        spec TEXT NOT NULL, state TEXT NOT NULL, place TEXT NOT NULL, created TEXT NOT NULL, desired TEXT NOT NULL
    ) WITHOUT ROWID;
INSERT INTO "containers" VALUES('containers id','containers name','containers project','containers service','containers spec','containers state','containers place','containers created','containers desired');
CREATE TABLE events (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, time_ns INTEGER NOT NULL, kind TEXT NOT NULL, action TEXT NOT NULL,
        id TEXT NOT NULL, attributes TEXT NOT NULL
    );
INSERT INTO "events" VALUES(1,1,'events kind','events action','events id','events attributes');
CREATE TABLE files (
        project TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, key TEXT NOT NULL, number INTEGER NOT NULL,
        PRIMARY KEY (project, kind, name, key)
    ) WITHOUT ROWID;
INSERT INTO "files" VALUES('files project','files kind','files name','files key',1);
CREATE TABLE images (id TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "images" VALUES('images id','images record');
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "meta" VALUES('meta name','meta value');
CREATE TABLE networks (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, project TEXT NOT NULL, record TEXT NOT NULL)
        WITHOUT ROWID;
INSERT INTO "networks" VALUES('networks id','networks name','networks project','networks record');
CREATE TABLE projects (name TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "projects" VALUES('projects name','projects record');
CREATE TABLE tags (name TEXT PRIMARY KEY, image TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "tags" VALUES('tags name','tags image');
CREATE TABLE volumes (name TEXT PRIMARY KEY, project TEXT NOT NULL, record TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "volumes" VALUES('volumes name','volumes project','volumes record');
CREATE INDEX tags_image ON tags (image);
CREATE INDEX files_key ON files (key);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('events',1);
COMMIT;
