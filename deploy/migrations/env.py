"""How Alembic reaches the database: as the owner, never waiting long for a lock."""

import importlib
import pkgutil

from alembic import context
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url

import api
from api.core.metadata import Base

LOCK_TIMEOUT = "3s"
STATEMENT_TIMEOUT = "10min"

for package in pkgutil.iter_modules(api.__path__):
    if package.ispkg and importlib.util.find_spec(f"api.{package.name}.models"):
        importlib.import_module(f"api.{package.name}.models")


def run() -> None:
    """Run the migrations, each in a transaction of its own.

    A table in use is never blocked for long: the migration gives up after LOCK_TIMEOUT, changes
    nothing, and can be run again.
    """
    url = make_url(context.config.attributes["url"]).set(drivername="postgresql+psycopg")
    limits = f"-c lock_timeout={LOCK_TIMEOUT} -c statement_timeout={STATEMENT_TIMEOUT}"
    engine = create_engine(url, connect_args={"options": limits})
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            transaction_per_migration=True,
            compare_server_default=True,
        )
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


run()
