"""The tables of the lineage file, by schema version; nothing that was released is ever edited.

One number identifies a birth everywhere: ``id = run_id << 32 | birth``. Rows in insertion order then are rows in
birth order, a parent is one integer, and no table needs a second key.

Prompts, settings, names and layouts are interned in ``texts`` (looked up by the first 8 bytes of their hash and
compared in full); token sequences are stored once each in ``voices``, by content hash. ``*_tallies`` and ``leaders``
are sums over other rows, kept so that curves and operator statistics need not read a million births;
`verification.verify` re-derives them. What people said is never deleted: a tombstone (``withdrawn``) takes it back.
"""

from __future__ import annotations

import sqlite3

APPLICATION_ID = 0x5642_464C  # "VBFL", in the SQLite header, where `file` shows it
VERSION = 4

_V1 = (
    "CREATE TABLE store (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
    """CREATE TABLE runs (
    run_id INTEGER PRIMARY KEY CHECK (run_id BETWEEN 1 AND 1000000),
    name TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('new', 'running', 'paused', 'done', 'failed')),
    reason TEXT,                  -- of the state
    config TEXT NOT NULL,         -- JSON
    seed INTEGER NOT NULL,        -- of 0 to 2^64-1, as a signed number
    versions TEXT NOT NULL,       -- JSON: program and libraries
    checkpoints TEXT NOT NULL,    -- JSON: name to content hash
    weights TEXT NOT NULL,        -- JSON: term to weight in the total
    digest BLOB NOT NULL,         -- sha256 of all above but state and reason
    branched_from INTEGER REFERENCES births (id),
    created_at REAL NOT NULL      -- seconds since 1970
) STRICT""",
    "CREATE TABLE texts (text_id INTEGER PRIMARY KEY, key INTEGER NOT NULL, text TEXT NOT NULL) STRICT",
    "CREATE INDEX texts_by_key ON texts (key)",
    """CREATE TABLE voices (
    voice_id INTEGER PRIMARY KEY,
    sha256 BLOB NOT NULL UNIQUE,
    n_semantic INTEGER NOT NULL,
    n_frames INTEGER NOT NULL,
    space_id INTEGER NOT NULL REFERENCES texts (text_id),
    name TEXT,
    metadata TEXT,                -- JSON
    tokens BLOB                   -- NULL: let go by gc; the births that rendered it can render it again
) STRICT""",
    """CREATE TABLE births (
    id INTEGER PRIMARY KEY,
    run_id INTEGER GENERATED ALWAYS AS (id >> 32) VIRTUAL,
    birth INTEGER GENERATED ALWAYS AS (id & 4294967295) VIRTUAL,
    generation INTEGER NOT NULL CHECK (generation >= 0),
    operator_id INTEGER NOT NULL REFERENCES texts (text_id),
    operator_version INTEGER NOT NULL,
    parameters TEXT NOT NULL,     -- JSON
    prompt_id INTEGER NOT NULL REFERENCES texts (text_id),
    voice_id INTEGER REFERENCES voices (voice_id),
    settings_id INTEGER NOT NULL REFERENCES texts (text_id),
    content_lock INTEGER NOT NULL CHECK (content_lock IN (0, 1)),
    render_first TEXT,            -- JSON: what its voice is rendered from; voice_id is NULL until it is there
    first_voice_id INTEGER REFERENCES voices (voice_id),  -- the voice that render_first continues
    island INTEGER NOT NULL,
    rate REAL NOT NULL,           -- self-adaptive mutation rate
    seed INTEGER NOT NULL,
    genome BLOB NOT NULL,         -- sha256, with the voice once it is there
    digest BLOB NOT NULL,         -- first 16 bytes of a sha256 over the candidate
    died INTEGER,                 -- births asked for by the time it left the population
    born_at REAL NOT NULL
) STRICT""",
    "CREATE INDEX births_by_generation ON births (run_id, generation, id)",
    """CREATE TABLE parents (
    child INTEGER NOT NULL REFERENCES births (id),
    slot INTEGER NOT NULL,
    parent INTEGER NOT NULL REFERENCES births (id) CHECK (parent < child),
    role TEXT NOT NULL CHECK (role IN ('first', 'second', 'donor')),
    PRIMARY KEY (child, slot)
) STRICT, WITHOUT ROWID""",
    "CREATE INDEX parents_by_parent ON parents (parent, role, child)",
    """CREATE TABLE evaluations (
    birth_id INTEGER NOT NULL REFERENCES births (id),
    replicate INTEGER NOT NULL CHECK (replicate >= 0),  -- 0 is what the swarm was told
    status TEXT NOT NULL CHECK (status IN ('ok', 'rejected', 'failed')),
    total REAL,                   -- terms weighted by the run's weights
    terms TEXT,                   -- JSON: name to value in [0, 1]
    layout_id INTEGER NOT NULL REFERENCES texts (text_id),
    numbers BLOB NOT NULL,        -- the terms' measures, then all measures, as the layout names them
    reason_id INTEGER REFERENCES texts (text_id),
    evidence TEXT,                -- JSON
    rendering TEXT,               -- JSON: stop reason, token statistics, notices
    voice_id INTEGER REFERENCES voices (voice_id),  -- the tokens that were rendered
    digest BLOB NOT NULL,         -- first 16 bytes of a sha256 over score and rendering
    timings TEXT,                 -- JSON: seconds by stage
    told_at REAL NOT NULL,
    PRIMARY KEY (birth_id, replicate)
) STRICT""",
    """CREATE TABLE events (
    run_id INTEGER NOT NULL REFERENCES runs (run_id),
    seq INTEGER NOT NULL CHECK (seq > 0),
    kind TEXT NOT NULL,
    birth INTEGER,                -- asked: the first of `count` births; told: the birth
    count INTEGER,
    payload TEXT,                 -- JSON
    at REAL,                      -- asked and told: see born_at and told_at
    PRIMARY KEY (run_id, seq)
) STRICT, WITHOUT ROWID""",
    """CREATE TABLE generation_tallies (
    run_id INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    name_id INTEGER NOT NULL,     -- of a term, or of asked, ok, rejected, failed
    n INTEGER NOT NULL,
    total REAL NOT NULL,
    best REAL NOT NULL,
    best_birth INTEGER NOT NULL,
    PRIMARY KEY (run_id, generation, name_id)
) STRICT, WITHOUT ROWID""",
    """CREATE TABLE operator_tallies (
    run_id INTEGER NOT NULL,
    operator_id INTEGER NOT NULL,
    operator_version INTEGER NOT NULL,
    name_id INTEGER NOT NULL,
    n INTEGER NOT NULL,
    total REAL NOT NULL,
    best REAL NOT NULL,
    compared INTEGER NOT NULL,    -- children whose parents have the term too
    better INTEGER NOT NULL,      -- of these, above the best parent
    gain REAL NOT NULL,           -- of these, summed difference to the best parent
    PRIMARY KEY (run_id, operator_id, operator_version, name_id)
) STRICT, WITHOUT ROWID""",
    """CREATE TABLE leaders (
    run_id INTEGER NOT NULL,
    name_id INTEGER NOT NULL,
    birth INTEGER NOT NULL,
    value REAL NOT NULL,
    PRIMARY KEY (run_id, name_id, birth)
) STRICT, WITHOUT ROWID""",
    """CREATE VIEW lineage_tree AS
WITH RECURSIVE tree (id, depth) AS (
    SELECT id, 0 FROM births WHERE NOT EXISTS (SELECT 1 FROM parents WHERE child = births.id)
    UNION
    SELECT parents.child, tree.depth + 1 FROM tree JOIN parents ON parents.parent = tree.id AND parents.role = 'first'
    ORDER BY 2 DESC, 1            -- depth first, and no row waits for the last to be found
    LIMIT -1                      -- no limit; without the word, SQLite 3.40 forgets the order in a join
)
SELECT runs.name AS run,
    printf('%*s', 2 * min(tree.depth, 60), '') || births.birth || ' ' || operators.text AS tree,
    births.generation,
    coalesce(evaluations.status, 'pending') AS status,
    round(evaluations.total, 4) AS total,
    prompts.text AS prompt,
    lower(hex(substr(voices.sha256, 1, 6))) AS voice,
    births.birth,
    tree.depth
FROM tree                         -- CROSS JOIN: in SQLite, the tree stays outermost, and so in order
    CROSS JOIN births ON births.id = tree.id
    CROSS JOIN runs ON runs.run_id = births.id >> 32
    CROSS JOIN texts AS operators ON operators.text_id = births.operator_id
    CROSS JOIN texts AS prompts ON prompts.text_id = births.prompt_id
    LEFT JOIN voices ON voices.voice_id = births.voice_id
    LEFT JOIN evaluations ON evaluations.birth_id = births.id AND evaluations.replicate = 0""",
)

_V2 = (
    """CREATE TABLE judgements (
    judgement_id INTEGER PRIMARY KEY,
    run_id INTEGER NOT NULL REFERENCES runs (run_id),
    kind TEXT NOT NULL CHECK (kind IN ('better', 'equal', 'rating')),
    one INTEGER NOT NULL REFERENCES births (id),    -- better: the one that was preferred
    other INTEGER REFERENCES births (id),
    value REAL,                                     -- of a rating
    rater TEXT NOT NULL,
    session TEXT NOT NULL,
    latency_s REAL,
    at REAL NOT NULL,
    withdrawn INTEGER NOT NULL DEFAULT 0 CHECK (withdrawn IN (0, 1)),
    withdrawn_at REAL
) STRICT""",
    "CREATE INDEX judgements_by_one ON judgements (one)",
    "CREATE INDEX judgements_by_other ON judgements (other)",
    """CREATE TABLE remarks (
    remark_id INTEGER PRIMARY KEY,
    birth_id INTEGER NOT NULL REFERENCES births (id),
    kind TEXT NOT NULL CHECK (kind IN ('tag', 'note')),
    text TEXT NOT NULL,
    at REAL NOT NULL,
    withdrawn INTEGER NOT NULL DEFAULT 0 CHECK (withdrawn IN (0, 1)),
    withdrawn_at REAL
) STRICT""",
    "CREATE INDEX remarks_by_birth ON remarks (birth_id)",
    "CREATE INDEX remarks_by_text ON remarks (kind, text)",
    """CREATE TABLE clips (
    birth_id INTEGER PRIMARY KEY REFERENCES births (id),
    sha256 BLOB NOT NULL,                           -- of the file
    path TEXT NOT NULL,                             -- from the database's folder
    n_samples INTEGER NOT NULL,
    sample_rate INTEGER NOT NULL,                   -- Hz
    kept_at REAL NOT NULL
) STRICT""",
)

_V3 = (
    # JSON: how the run is conducted (workers, batches, limits), which does not decide what comes of it
    "ALTER TABLE runs ADD COLUMN execution TEXT NOT NULL DEFAULT '{}'",
    # JSON: terms that could not be judged, each with why
    "ALTER TABLE evaluations ADD COLUMN unknown_id INTEGER REFERENCES texts (text_id)",
    # A curve is one name in all generations, so its rows lie together.
    "CREATE TEMP TABLE old_tallies AS SELECT * FROM generation_tallies",
    "DROP TABLE generation_tallies",
    """CREATE TABLE generation_tallies (
    run_id INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    name_id INTEGER NOT NULL,     -- of a term, or of asked, ok, rejected, failed
    n INTEGER NOT NULL,
    total REAL NOT NULL,
    best REAL NOT NULL,
    best_birth INTEGER NOT NULL,
    PRIMARY KEY (run_id, name_id, generation)
) STRICT, WITHOUT ROWID""",
    "INSERT INTO generation_tallies SELECT * FROM old_tallies",
    "DROP TABLE old_tallies",
)

_V4 = (
    # A pair of which both are bad is an answer of its own. SQLite changes no CHECK, so the table is made anew.
    "CREATE TEMP TABLE old_judgements AS SELECT * FROM judgements",
    "DROP TABLE judgements",
    """CREATE TABLE judgements (
    judgement_id INTEGER PRIMARY KEY,
    run_id INTEGER NOT NULL REFERENCES runs (run_id),
    kind TEXT NOT NULL CHECK (kind IN ('better', 'equal', 'both_bad', 'rating')),
    one INTEGER NOT NULL REFERENCES births (id),    -- better: the one that was preferred
    other INTEGER REFERENCES births (id),
    value REAL,                                     -- of a rating
    rater TEXT NOT NULL,
    session TEXT NOT NULL,
    latency_s REAL,
    at REAL NOT NULL,
    withdrawn INTEGER NOT NULL DEFAULT 0 CHECK (withdrawn IN (0, 1)),
    withdrawn_at REAL
) STRICT""",
    "INSERT INTO judgements SELECT * FROM old_judgements",
    "DROP TABLE old_judgements",
    "CREATE INDEX judgements_by_one ON judgements (one)",
    "CREATE INDEX judgements_by_other ON judgements (other)",
)

STATEMENTS: dict[int, tuple[str, ...]] = {1: _V1, 2: _V2, 3: _V3, 4: _V4}  # what each version adds


def objects(connection: sqlite3.Connection) -> dict[str, tuple[str, str]]:
    """Type and SQL of everything in a database's schema, by name, but what SQLite and sqlite-utils add."""
    rows = connection.execute(
        "SELECT name, type, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
        "AND tbl_name != '_sqlite_migrations'"
    )
    return {name: (kind, sql) for name, kind, sql in rows}


def expected_objects(version: int) -> dict[str, tuple[str, str]]:
    """`objects` of a lineage file of that schema version."""
    empty = sqlite3.connect(":memory:")
    try:
        for number in range(1, version + 1):
            for statement in STATEMENTS[number]:
                empty.execute(statement)
        return objects(empty)
    finally:
        empty.close()
