"""The demo and its story: a whole deployment in one folder, for people and for machines."""
