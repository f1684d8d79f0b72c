"""The tables of a catalogue: the SQLite file, its schema, the sums that protect it, and what single tables hold."""
