BEGIN TRANSACTION;
CREATE TABLE intents (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, key TEXT NOT NULL,
        data TEXT NOT NULL);
INSERT INTO "intents" VALUES(1,'intents kind','intents key','intents data');
CREATE TABLE leases (network TEXT NOT NULL, address TEXT NOT NULL, owner TEXT NOT NULL,
        PRIMARY KEY (network, address)) WITHOUT ROWID;
INSERT INTO "leases" VALUES('leases network','leases address','leases owner');
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "meta" VALUES('meta name','meta value');
CREATE TABLE ports (owner TEXT NOT NULL, protocol TEXT NOT NULL, host_ip TEXT NOT NULL, host_port INTEGER NOT NULL,
        PRIMARY KEY (protocol, host_ip, host_port)) WITHOUT ROWID;
INSERT INTO "ports" VALUES('ports owner','ports protocol','ports host_ip',1);
CREATE TABLE running (container TEXT PRIMARY KEY, pid INTEGER NOT NULL, start_time INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO "running" VALUES('running container',1,1);
CREATE INDEX leases_owner ON leases (owner);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('intents',1);
COMMIT;
