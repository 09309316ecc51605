"""Which trial to train, and what choosing has made of its score."""
