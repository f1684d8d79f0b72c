"""Measure searches and indexing: latency, throughput, memory, recall, beside other ways to do the same."""
