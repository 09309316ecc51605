"""How a model does on the hold-out, beside naive forecasts and the model in use, and what follows from it."""
