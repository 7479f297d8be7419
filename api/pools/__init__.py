"""People who put money together: from an idea to the last penny back where it came from."""
