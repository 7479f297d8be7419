"""Alembic's folder: each migration is frozen once it has run somewhere."""
