"""SQLite: schemas, forward migrations, rows, intents. Knows text and numbers only; what they mean is said above."""
