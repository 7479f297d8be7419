"""The application over HTTP, and factories, for the tests of every slice."""

from tests.fixtures.front import app, client, logged, maker

__all__ = ["app", "client", "logged", "maker"]
