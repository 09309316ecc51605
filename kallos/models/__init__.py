"""Trained models: training, files, forecasts, and the registry."""
