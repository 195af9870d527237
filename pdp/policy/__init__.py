"""The policy engine: compliance rules and access policies, pure and total."""
