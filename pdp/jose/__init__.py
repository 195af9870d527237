"""JWTs signed and verified (joserfc): algorithm, type and key are always ours to name."""
