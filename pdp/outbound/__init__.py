"""Calls that the server makes to others: one door, closed to private networks by default."""
