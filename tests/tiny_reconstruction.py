"""Detectors that reconstruct, so small that they train in a second, on the images of `tiny_task`."""

from anatpaste_aug.detection.models.ganomaly.detector import GanomalyConfig, GanomalyDetector

SETTINGS = {"image_size": 32, "batch_size": 4, "updates": 4, "updates_per_epoch": 2, "seed": 3}

DETECTORS = {
    "ganomaly": (GanomalyDetector, GanomalyConfig(**SETTINGS, width=4, latent=8)),
}
"""Kind -> detector and settings."""
