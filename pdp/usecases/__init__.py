"""One verb per module: gather, decide, act. The caller owns the transaction."""
