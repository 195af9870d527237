"""Authlib wiring, the token side's enforcement point: no SQL, no routes, no framework."""
