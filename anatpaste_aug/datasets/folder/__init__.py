"""Images of one's own: a folder layout, two folders or lists, or a manifest."""
