"""Read, check, embed and aggregate what people judged."""
