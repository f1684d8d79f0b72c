"""Write a new generation of an index's files without dead rows, which gives their room back."""
