"""Directories of what is there to join: in from CSV files, out as a public feed."""
