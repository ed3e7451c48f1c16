"""What detectors share that reconstruct an image by adversarially trained networks, and score what differs."""
