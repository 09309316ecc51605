"""Honest walk-forward tuning of forecasting models on financial feature tables."""

__version__ = "0.1.0"
