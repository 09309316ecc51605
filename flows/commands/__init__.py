"""One module per command of `kallos-run`."""
