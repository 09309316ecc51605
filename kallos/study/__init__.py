"""Trials, their record, and their result."""
