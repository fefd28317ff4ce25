"""The service store: keys and audit, in SQLite or PostgreSQL."""
