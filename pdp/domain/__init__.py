"""What things are and how they may change: the vocabulary, standard library only."""
