"""Pratique: an OpenID Connect authorization server and policy decision point for devices."""

__version__ = "0.1.0"
