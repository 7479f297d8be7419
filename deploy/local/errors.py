"""The one error of the local stack."""


class StackError(Exception):
    """The local servers cannot do what was asked; the message says why and what to do about it."""
