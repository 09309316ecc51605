"""Features and prices from files."""
