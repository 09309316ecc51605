"""Walk-forward folds: where each begins and ends, and its normalised series."""
