"""The application over HTTP, and factories, for properties of the whole house."""

from tests.fixtures.front import app, client, maker

__all__ = ["app", "client", "maker"]
