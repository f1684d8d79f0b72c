"""Make large indexes from small ones, to measure how searches scale."""
