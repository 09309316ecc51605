"""The table of features: read, written, frozen."""
