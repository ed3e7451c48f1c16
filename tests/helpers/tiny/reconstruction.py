"""Detectors that reconstruct, so small that they train in a second, on the images of `task`."""

from anatpaste_aug.detection.models.f_anogan.detector import FAnoGanConfig, FAnoGanDetector
from anatpaste_aug.detection.models.ganomaly.detector import GanomalyConfig, GanomalyDetector
from anatpaste_aug.detection.models.squid.detector import SquidConfig, SquidDetector

SETTINGS = {"image_size": 32, "batch_size": 4, "updates": 4, "updates_per_epoch": 2, "seed": 3}

DETECTORS = {
    "f-anogan": (FAnoGanDetector, FAnoGanConfig(**SETTINGS, gan_updates=1, critic_steps=2, width=4, latent=8)),
    "squid": (SquidDetector, SquidConfig(**SETTINGS, width=6, slots=6)),
    "ganomaly": (GanomalyDetector, GanomalyConfig(**SETTINGS, width=4, latent=8)),
}
"""Kind -> detector and settings."""
