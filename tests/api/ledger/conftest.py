"""Books on this process' database."""

import pytest

from api.core.db import Database
from tests.books import Books


@pytest.fixture
def books(database: Database) -> Books:
    """Lend books."""
    return Books(database)
