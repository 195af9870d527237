"""What may be lost: counters, in Redis if configured, in the process otherwise."""
