"""The page, the tables, the pictures."""
