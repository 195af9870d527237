"""Carries out what must follow a change, and what time alone makes due; never serves requests."""
