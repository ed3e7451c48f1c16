"""GANomaly as a detector, and its training."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from anatpaste_aug.detection.models.ganomaly.config import GanomalyConfig
from anatpaste_aug.detection.models.ganomaly.networks import Discriminator, Generator, init_weights
from anatpaste_aug.detection.models.reconstruction.detector import ReconstructionDetector
from anatpaste_aug.detection.models.reconstruction.training import ReconstructionTrainer
from anatpaste_aug.detection.training.workers import Workers

# Below this loss of the discriminator its weights are drawn again, as in the authors' code.
_COLLAPSED = 1e-5


class GanomalyTrainer(ReconstructionTrainer[GanomalyConfig]):
    """Trains generator and discriminator in turn, one step of Adam each per update.

    Args:
        config: The settings.
        images: N×1×S×S uint8 normal images on the device of the run.
        workers: The process of the run.
    """

    net: Generator

    def __init__(self, config: GanomalyConfig, images: Tensor, workers: Workers) -> None:
        super().__init__(config, images, workers)
        self.net = GanomalyDetector.make_net(config).to(self.device)
        self.discriminator = Discriminator(config.network_size, config.width).to(self.device)
        self.others = {"discriminator": self.discriminator}
        self.optimizers = {
            name: torch.optim.Adam(net.parameters(), lr=config.learning_rate, betas=(0.5, 0.999))
            for name, net in (("generator", self.net), ("discriminator", self.discriminator))
        }

    def step(self) -> Tensor:
        """Do one update and return the generator's loss."""
        real = 2 * self.draw_images() - 1
        fake, code, second_code = self.net(real)
        real_logits, real_features = self.discriminator(real)
        fake_logits, _ = self.discriminator(fake.detach())
        # Before the generator's step, so that both steps are taken from the same weights.
        guessed = discriminator_loss(real_logits, fake_logits)
        _, fake_features = self.discriminator(fake)
        loss = generator_loss(self.config, real, fake, code, second_code, real_features.detach(), fake_features)
        self.descend("generator", loss)
        self.descend("discriminator", guessed)
        if guessed.item() < _COLLAPSED:
            self.discriminator.apply(init_weights)
        return loss.detach()


def generator_loss(
    config: GanomalyConfig,
    real: Tensor,
    fake: Tensor,
    code: Tensor,
    second_code: Tensor,
    real_features: Tensor,
    fake_features: Tensor,
) -> Tensor:
    """Return the weighted sum of the three differences between images and reconstructions."""
    return (
        config.feature_weight * F.mse_loss(fake_features, real_features)
        + config.image_weight * F.l1_loss(fake, real)
        + config.code_weight * F.mse_loss(second_code, code)
    )


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Return the mean of the cross entropies of real images, as 1, and of reconstructions, as 0."""
    real = F.binary_cross_entropy_with_logits(real_logits, torch.ones_like(real_logits))
    fake = F.binary_cross_entropy_with_logits(fake_logits, torch.zeros_like(fake_logits))
    return (real + fake) / 2


class GanomalyDetector(ReconstructionDetector[GanomalyConfig]):
    """GANomaly: the difference between the code of an image and the code of its reconstruction.

    S. Akcay, A. Atapour-Abarghouei, T. P. Breckon, "GANomaly: Semi-supervised Anomaly Detection via Adversarial
    Training", ACCV 2018. Where paper and the authors' code differ, this follows the code, which made the published
    figures: learning rate 2e-4, and the mean *squared* difference of the codes as score. Two things differ on purpose:
    BatchNorm is in evaluation mode when images are scored, and test images affect no choice.

    Args:
        config: Settings of the training; None is `GanomalyConfig` with its defaults.
        white: White level that 16-bit files are read with, kept for scoring.

    Example:
        >>> from anatpaste_aug.datasets import phantom_task
        >>> task = phantom_task(32, train=8, val=8, test=4)
        >>> config = GanomalyConfig(image_size=32, batch_size=4, updates=1, width=4)
        >>> detector = GanomalyDetector(config).fit(task.train.images, task.val.images, task.val.labels)
        >>> detector.predict(task.test.images).abnormal.shape
        (4,)
    """

    config_type: ClassVar = GanomalyConfig
    trainer_type: ClassVar = GanomalyTrainer

    @staticmethod
    def make_net(config: GanomalyConfig) -> Generator:
        """Return the untrained generator, on the CPU."""
        return Generator(config.network_size, config.width, config.latent)
