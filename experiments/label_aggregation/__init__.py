"""Compare ways to make one number of several people's judgments."""
