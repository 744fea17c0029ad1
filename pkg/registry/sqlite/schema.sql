-- A catalog, written once by Create. Blobs named *_z are compressed (codec.go,
-- those of bundles with the dictionary of their package);
-- messages are those of package api, encoded.

CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE bundle (
  id        INTEGER PRIMARY KEY,
  package   TEXT NOT NULL,
  name      TEXT NOT NULL,
  common_z  BLOB NOT NULL,    -- Bundle: what is the same in every channel
  content_z BLOB,             -- manifests in the form that kind says; NULL if there are none
  kind      INTEGER NOT NULL, -- contentKind
  images_z  BLOB              -- related images as JSON; NULL if there are none
) STRICT;

CREATE TABLE dictionary (
  package   TEXT PRIMARY KEY,
  common_z  BLOB,             -- NULL if there is none
  content_z BLOB
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX bundle_by_name ON bundle (package, name);

CREATE TABLE package (
  name            TEXT PRIMARY KEY,
  default_channel TEXT NOT NULL,
  answer          BLOB NOT NULL,  -- Package
  description     BLOB,           -- wire.Fields
  icon            BLOB,           -- wire.Fields
  properties      TEXT,           -- as JSON; NULL if there are none
  deprecation     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE channel (
  package     TEXT NOT NULL REFERENCES package (name),
  name        TEXT NOT NULL,
  head        TEXT NOT NULL,
  properties  TEXT,
  deprecation TEXT NOT NULL,
  PRIMARY KEY (package, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE entry (
  package    TEXT NOT NULL,
  channel    TEXT NOT NULL,
  name       TEXT NOT NULL,
  bundle     INTEGER,          -- NULL if the catalog does not have the bundle
  replaces   TEXT NOT NULL,
  skips      TEXT,             -- as JSON; NULL if there are none
  skip_range TEXT NOT NULL,
  position   INTEGER NOT NULL, -- in the channel as it was written
  place      BLOB NOT NULL,    -- Bundle: what GetBundle says of the place
  PRIMARY KEY (package, channel, name),
  FOREIGN KEY (package, channel) REFERENCES channel (package, name)
) STRICT, WITHOUT ROWID;

-- edge holds what entries replace and skip, by the name of the older bundle.
CREATE TABLE edge (
  older   TEXT NOT NULL,
  package TEXT NOT NULL,
  channel TEXT NOT NULL,
  name    TEXT NOT NULL,
  rank    INTEGER NOT NULL,    -- of the entry among those that upgrade the older bundle, nearest the head first
  PRIMARY KEY (older, package, channel, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE api (
  id  INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE     -- version, kind and group, see apiKey
) STRICT;

CREATE TABLE provider (
  api    INTEGER NOT NULL REFERENCES api (id),
  bundle INTEGER NOT NULL,
  PRIMARY KEY (api, bundle)
) STRICT, WITHOUT ROWID;

-- latest holds the providers that are channel heads.
CREATE TABLE latest (
  api     INTEGER NOT NULL REFERENCES api (id),
  package TEXT NOT NULL,
  channel TEXT NOT NULL,
  skips   TEXT,                -- those that are entries of the channel
  PRIMARY KEY (api, package, channel)
) STRICT, WITHOUT ROWID;

-- page holds the answer of ListBundles in order; see page.go.
CREATE TABLE page (
  number INTEGER PRIMARY KEY,
  data_z BLOB NOT NULL
) STRICT;

CREATE TABLE blob (
  schema  TEXT NOT NULL,
  package TEXT NOT NULL,
  name    TEXT NOT NULL,
  number  INTEGER NOT NULL,    -- among those of the same schema, package and name
  json    TEXT NOT NULL,
  PRIMARY KEY (schema, package, name, number)
) STRICT, WITHOUT ROWID;
