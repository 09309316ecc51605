"""The baselines that a model has to beat."""
