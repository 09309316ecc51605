"""Chooses the trial to train, and measures how the choice flatters its score."""
