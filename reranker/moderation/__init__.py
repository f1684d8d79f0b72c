"""Define what a policy forbids: its terms for queries, its prompts for photos."""
