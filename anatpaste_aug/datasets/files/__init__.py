"""Image files: found, decoded, scaled to 8 bits, and cached."""
