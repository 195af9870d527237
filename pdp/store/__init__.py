"""SQL: rows stay in here, domain values come out.

When the database is down every function raises `Unavailable`: callers answer 503, nothing is
granted, nothing is consumed. When it goes away while it commits, that is `OutcomeUnknown`: what the
transaction consumed may be consumed, and nothing is granted all the same.
"""
