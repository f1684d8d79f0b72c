"""Compare ways to aggregate several people's judgments of a pair into one score."""
