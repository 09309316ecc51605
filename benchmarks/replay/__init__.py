"""How good is the search? Studies are run in full once, and looked up thereafter, by sampler and by seed."""
