"""Models: trained, kept, registered."""
