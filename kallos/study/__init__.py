"""Studies: trials, their record and their result."""
