"""The HTTP edge: blueprints that parse, call and render."""
