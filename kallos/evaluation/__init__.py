"""How a model does on the hold-out, beside naive forecasts and the champion, and what follows from it."""
