"""Accounts, sign-in, sessions, roles, who works with whom, and the actor of a transaction."""
