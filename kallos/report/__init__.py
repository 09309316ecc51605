"""The report of a study: the page, its tables and its plots."""
