"""Run the student project that photoseek grew from, and photoseek's own ranker on the same data."""
