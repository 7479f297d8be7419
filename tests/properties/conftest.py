"""The application over HTTP, and factories, for properties of the whole house."""

from tests.fixtures.front import app, client, logged, maker

__all__ = ["app", "client", "logged", "maker"]
