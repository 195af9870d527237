"""SQL: rows stay in here, domain values come out.

When the database is down every function raises `Unavailable`: callers answer 503, nothing is
granted, nothing is consumed.
"""
