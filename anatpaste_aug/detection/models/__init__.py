"""Anomaly detectors behind one interface, and the networks and densities they are made of."""
