"""What talks to Prefect and the operating system."""
