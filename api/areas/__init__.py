"""A locality: its settings as data, its calendar and clocks, its places and words."""
