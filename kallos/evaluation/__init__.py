"""How a model performs on the hold-out, compared with baselines and the champion, and the verdict."""
