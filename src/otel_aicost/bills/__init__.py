"""What providers say they took: their own cost APIs, read with an admin key, and held against the ledger."""
