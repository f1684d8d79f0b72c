"""Apply a policy to searches: block queries, hold photos back, keep an audit log."""
