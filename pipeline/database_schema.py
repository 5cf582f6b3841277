"""What a store's database is made of, and whether one is made of exactly that."""

from __future__ import annotations

import contextlib
import sqlite3

# What SQLite's header says of a store's database: "EMBS", and the version of the schema above.
APPLICATION_ID = int.from_bytes(b"EMBS", "big")
USER_VERSION = 2
# Metadata key under which changes of a label stay on record.
RELABEL_KEY = "relabelled"

SCHEMA = """
CREATE TABLE metadata(key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE chunks(id TEXT PRIMARY KEY, text TEXT NOT NULL, source TEXT NOT NULL, page INTEGER NOT NULL,
                    tokens INTEGER NOT NULL, metadata JSON NOT NULL, embedding BLOB NOT NULL);
"""
FULLTEXT = """
CREATE VIRTUAL TABLE chunks_fts USING fts5(section, text, content='', tokenize='unicode61 remove_diacritics 2')
"""


def find_structure_fault(connection: sqlite3.Connection) -> str | None:
    """Return why a database is not one that this project exported, or not sound, or None.

    Its identity, its tables, indexes, views and triggers must be exactly those of an export, and SQLite's own checks of
    pages, indexes and keys must find nothing. What the rows say is not looked at.
    """
    found = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
    if found != [APPLICATION_ID, USER_VERSION]:
        return (
            f"expected application_id {APPLICATION_ID} and user_version {USER_VERSION}, got {found[0]} and {found[1]}"
        )
    with contextlib.closing(sqlite3.connect(":memory:")) as fresh:
        fresh.executescript(SCHEMA + FULLTEXT)
        odd = _list_objects(connection) ^ _list_objects(fresh)
    if odd:
        kind, name, _ = min(odd)
        return f"{kind} {name} is not as an export makes it"
    damage = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if damage != "ok":
        return f"integrity_check: {' '.join(damage.split())}"
    orphan = connection.execute("PRAGMA foreign_key_check").fetchone()
    return f"foreign_key_check: {orphan}" if orphan else None


def _list_objects(connection: sqlite3.Connection) -> set[tuple[str, str, str]]:
    """Return kind, name and definition; that of FTS5's own tables is the business of the SQLite that made them."""
    rows = connection.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_master")
    return {(kind, name, "" if name.startswith("chunks_fts_") else sql) for kind, name, sql in rows}
