"""Your own images: a folder layout, two folders or lists, or a manifest."""
