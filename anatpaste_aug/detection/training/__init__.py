"""The training loop: settings, batches, checkpoints, and several processes."""
