"""CheXpert."""
