"""SQUID as a detector, and its training."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anatpaste_aug.detection.models.reconstruction.detector import ReconstructionDetector
from anatpaste_aug.detection.models.reconstruction.networks import map_batches
from anatpaste_aug.detection.models.reconstruction.training import ReconstructionTrainer
from anatpaste_aug.detection.models.squid.config import SquidConfig
from anatpaste_aug.detection.models.squid.networks import Decoded, SquidNet
from anatpaste_aug.detection.training.config import half_cosine
from anatpaste_aug.detection.training.workers import Workers

_REFERENCES = 200  # normal training images that the discriminator's logits are compared with


class SquidTrainer(ReconstructionTrainer[SquidConfig]):
    """Trains the discriminator on every batch and the generator on every second one.

    Args:
        config: The settings.
        images: N×1×S×S uint8 normal images on the device of the run.
        workers: The process of the run.
    """

    net: SquidNet

    def __init__(self, config: SquidConfig, images: Tensor, workers: Workers) -> None:
        super().__init__(config, images, workers)
        self.net = SquidDetector.make_net(config).to(self.device)
        self.others = {}
        rate, betas = config.learning_rate, (0.5, 0.999)
        generator, discriminator = self.net.generator.parameters(), self.net.discriminator.parameters()
        decay = config.weight_decay
        self.optimizers = {
            "generator": torch.optim.Adam(generator, lr=rate, betas=betas, eps=1e-7, weight_decay=decay),
            "discriminator": torch.optim.Adam(discriminator, lr=rate, betas=betas),
        }

    def step(self) -> Tensor:
        """Do one update and return the generator's loss."""
        config, net = self.config, self.net
        images = self._jittered()
        self._discriminate(images)
        # Its lowest point is never reached: the authors' cosine spans 300 epochs, of which they train 200.
        self.learning_rate = half_cosine(
            2 * self.update, 3 * config.updates, config.learning_rate, 0.1 * config.learning_rate
        )
        self.optimizers["generator"].param_groups[0]["lr"] = self.learning_rate
        net.discriminator.requires_grad_(False)
        student, teacher = net.generator(images)
        loss = generator_loss(config, images, student, teacher, net.discriminator(student.image))
        self.descend("generator", loss)
        net.discriminator.requires_grad_(True)
        net.generator.inpainting.remember()
        self._discriminate(self._jittered())
        return loss.detach()

    def _jittered(self) -> Tensor:
        return random_affine(self.draw_images(), self.config.jitter, self.generator)

    def _discriminate(self, images: Tensor) -> None:
        with torch.no_grad():
            fake = self.net.generator.reconstruct(images)
        logits = self.net.discriminator(images), self.net.discriminator(fake)
        self.descend("discriminator", self.config.adversarial_weight * discriminator_loss(*logits))


def generator_loss(config: SquidConfig, images: Tensor, student: Decoded, teacher: Decoded, logits: Tensor) -> Tensor:
    """Return the weighted sum of both reconstructions' errors, the decoders' difference, and the adversarial loss.

    Args:
        config: The weights.
        images: B×1×S×S in [0, 1].
        student: Decoded with memories.
        teacher: Decoded without.
        logits: The discriminator's B logits of the student's reconstruction.
    """
    pairs = zip(student.features, teacher.features, strict=True)
    distillation = torch.stack([F.mse_loss(own, other) for own, other in pairs]).sum()
    return (
        config.image_weight * F.mse_loss(student.image, images)
        + config.teacher_weight * F.mse_loss(teacher.image, images)
        + config.distillation_weight * distillation
        + config.adversarial_weight * F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
    )


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Return the sum of the cross entropies of real images, as 1, and of reconstructions, as 0."""
    real = F.binary_cross_entropy_with_logits(real_logits, torch.ones_like(real_logits))
    return real + F.binary_cross_entropy_with_logits(fake_logits, torch.zeros_like(fake_logits))


def random_affine(images: Tensor, strength: float, generator: torch.Generator | None = None) -> Tensor:
    """Shift and scale each image at random, black where nothing is left of it.

    Args:
        images: B×1×S×S.
        strength: The shift is uniform within ± this share of the side, along both axes; the scale within 1 ± it.
        generator: CPU generator of the 3·B random numbers; None is torch's global one.
    """
    uniform = strength * (2 * torch.rand(3, len(images), generator=generator) - 1)
    # Of the coordinates in the image that each pixel of the result is read from: -1 to 1 along a side.
    scale, shift = 1 / (1 + uniform[0]), -2 * uniform[1:]
    matrices = torch.zeros(len(images), 2, 3)
    matrices[:, 0, 0] = matrices[:, 1, 1] = scale
    matrices[:, :, 2] = shift.T * scale[:, None]
    grid = F.affine_grid(matrices.to(images), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


class SquidDetector(ReconstructionDetector[SquidConfig]):
    """SQUID: how a discriminator judges the image that memories of normal anatomy have inpainted.

    T. Xiang, Y. Zhang, Y. Lu, A. L. Yuille, C. Zhang, W. Cai, Z. Zhou, "SQUID: Deep Feature In-Painting for
    Unsupervised Anomaly Detection", CVPR 2023. The score is 1 - σ((d - μ) / s), where d is the discriminator's logit of
    the reconstruction, and μ and s are its mean and standard deviation over 200 normal training images. Two things
    differ from the authors' code on purpose: the discriminator is in evaluation mode when images are scored, and test
    images affect no choice.

    Args:
        config: Settings of the training; None is `SquidConfig` with its defaults.
        white: White level that 16-bit files are read with, kept for scoring.

    Example:
        >>> from anatpaste_aug.datasets import phantom_task
        >>> task = phantom_task(32, train=8, val=8, test=4)
        >>> config = SquidConfig(image_size=32, batch_size=4, updates=1, width=2, slots=5)
        >>> detector = SquidDetector(config).fit(task.train.images, task.val.images, task.val.labels)
        >>> detector.predict(task.test.images).abnormal.shape
        (4,)
    """

    config_type: ClassVar = SquidConfig
    trainer_type: ClassVar = SquidTrainer

    @staticmethod
    def make_net(config: SquidConfig) -> SquidNet:
        """Return the untrained networks, on the CPU."""
        return SquidNet(config)

    def _reference(self, net: nn.Module, images: Tensor) -> dict[str, Tensor]:
        assert isinstance(net, SquidNet)
        logits = -self._errors(net, images[:_REFERENCES])
        return {"mean": logits.mean(), "deviation": logits.std(correction=0)}

    def _use_reference(self, reference: dict[str, Tensor]) -> None:
        self._mean, self._deviation = reference["mean"], reference["deviation"].clamp(min=1e-12)

    def _score(self, images: Tensor) -> Tensor:
        # 1 - σ(x) is σ(-x), which keeps small scores apart.
        assert isinstance(self._net, SquidNet)
        return ((self._errors(self._net, images) + self._mean) / self._deviation).sigmoid()

    def _errors(self, net: SquidNet, images: Tensor) -> Tensor:
        reduction = self.config.reduction
        return map_batches(net, lambda squid, batch: squid.errors(batch), images, reduction=reduction).double()
