"""Long runs that damage, kill and starve real indexes; each prints its seed and one summary line."""
