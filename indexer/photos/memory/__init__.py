"""Bound the memory that photos take: what a decoding will need, what is really in a file, who may have how much now."""
