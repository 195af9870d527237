"""What may be lost: counters and nudges, in Redis if configured, in the process otherwise."""
