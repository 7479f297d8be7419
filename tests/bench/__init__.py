"""Measurements, each a function ``run(*, json)`` that ``./kith bench`` calls."""
