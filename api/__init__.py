"""Kith's domain in ranked slices, and its HTTP face."""
