"""The tables of the SQLite file."""

APPLICATION_ID = 0x53697A7A

# each script migrates a file from the version before; the first one creates the tables
MIGRATIONS = (
    """
    CREATE TABLE runs (
        run INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        epoch TEXT NOT NULL,
        epoch_lengths TEXT NOT NULL,
        rewrites TEXT NOT NULL DEFAULT '[]',
        bytes INTEGER NOT NULL,
        began_at REAL NOT NULL,
        ended_at REAL
    ) STRICT;
    CREATE INDEX runs_by_end ON runs (ended_at) WHERE ended_at IS NOT NULL;
    CREATE INDEX unfinished_runs ON runs (run) WHERE ended_at IS NULL;
    CREATE TABLE compacted (run INTEGER PRIMARY KEY, lines BLOB NOT NULL) STRICT;
    CREATE TABLE blocks (
        run INTEGER NOT NULL, first INTEGER NOT NULL, lines BLOB NOT NULL, PRIMARY KEY (run, first)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE expired_runs (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE) STRICT;
    CREATE TABLE secrets (secret BLOB NOT NULL) STRICT;
    """,
    "ALTER TABLE runs ADD COLUMN takeovers INTEGER NOT NULL DEFAULT 0;",
    """
    ALTER TABLE runs ADD COLUMN client TEXT NOT NULL DEFAULT '';
    CREATE INDEX runs_by_client_and_end ON runs (client, ended_at) WHERE ended_at IS NOT NULL;
    """,
    """
    CREATE TABLE spending (
        day TEXT NOT NULL,
        client TEXT NOT NULL,
        model TEXT NOT NULL,
        calls INTEGER NOT NULL,
        input_tokens INTEGER NOT NULL,
        output_tokens INTEGER NOT NULL,
        nano_usd INTEGER NOT NULL,
        unpriced_calls INTEGER NOT NULL,
        estimated_calls INTEGER NOT NULL,
        PRIMARY KEY (day, client, model)
    ) STRICT, WITHOUT ROWID;
    """,
    "ALTER TABLE spending ADD COLUMN reserved_nano_usd INTEGER NOT NULL DEFAULT 0;",
)

# what calls of a process that was killed had reserved counts as spent, because they may have cost it
NO_CALLS_UNDER_WAY = "UPDATE spending SET reserved_nano_usd = 0 WHERE reserved_nano_usd != 0"
