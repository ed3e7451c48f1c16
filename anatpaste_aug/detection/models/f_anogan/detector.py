"""f-AnoGAN as a detector, and its training in two stages."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from anatpaste_aug.detection.models.f_anogan.config import FAnoGanConfig
from anatpaste_aug.detection.models.f_anogan.networks import FAnoGanNet
from anatpaste_aug.detection.models.reconstruction.detector import ReconstructionDetector
from anatpaste_aug.detection.models.reconstruction.training import ReconstructionTrainer
from anatpaste_aug.detection.training.result import Progress
from anatpaste_aug.detection.training.workers import Workers


class FAnoGanTrainer(ReconstructionTrainer[FAnoGanConfig]):
    """Trains generator and critic as a Wasserstein GAN with gradient penalty, then the encoder on the fixed two.

    Args:
        config: The settings.
        images: N×1×S×S uint8 normal images on the device of the run.
        workers: The process of the run.
    """

    net: FAnoGanNet

    def __init__(self, config: FAnoGanConfig, images: Tensor, workers: Workers) -> None:
        super().__init__(config, images, workers)
        self.net = FAnoGanDetector.make_net(config).to(self.device)
        self.others = {}
        self.optimizers = {
            name: torch.optim.Adam(net.parameters(), lr=config.learning_rate, betas=(0.0, 0.9))
            for name, net in (("generator", self.net.generator), ("critic", self.net.critic))
        }
        rate = config.encoder_learning_rate
        self.optimizers["encoder"] = torch.optim.RMSprop(self.net.encoder.parameters(), lr=rate, alpha=0.9)

    def advance(self) -> None:
        """Do one update and add its loss to the mean, which starts anew with the encoder."""
        if self.update == self.config.gan_updates:
            self.loss_sum, self.summed = torch.zeros((), device=self.device), 0
        super().advance()

    def report(self, validation: tuple[Tensor, Tensor] | None = None) -> Progress:
        """Return the progress after the last update; validate only once the encoder is being trained."""
        return super().report(validation if self.update > self.config.gan_updates else None)

    def step(self) -> Tensor:
        """Do one update; return the critic's loss, or that of the encoder."""
        return self._gan_step() if self.update < self.config.gan_updates else self._encoder_step()

    def _gan_step(self) -> Tensor:
        config, net = self.config, self.net
        self.learning_rate, self.remedy = config.learning_rate, "lower learning_rate"
        net.critic.requires_grad_(True)
        for _ in range(config.critic_steps):
            real = 2 * self.draw_images() - 1
            with torch.no_grad():
                fake = net.generator(self._noise(len(real)))
            between = torch.rand(len(real), 1, 1, 1, generator=self.generator).to(self.device)
            loss = critic_loss(net.critic, real, fake, between, config.penalty)
            self.descend("critic", loss)
        net.critic.requires_grad_(False)
        self.descend("generator", -net.critic(net.generator(self._noise(config.batch_size))).mean())
        return loss.detach()

    def _encoder_step(self) -> Tensor:
        self.learning_rate, self.remedy = self.config.encoder_learning_rate, "lower encoder_learning_rate"
        self.net.requires_grad_(False)
        self.net.encoder.requires_grad_(True)
        self.net.generator.eval()
        _, differences = self.net(2 * self.draw_images() - 1)
        loss: Tensor = differences.mean()
        self.descend("encoder", loss)
        return loss.detach()

    def _noise(self, count: int) -> Tensor:
        return torch.randn(count, self.config.latent, generator=self.generator).to(self.device)


def critic_loss(
    critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, between: Tensor, penalty: float
) -> Tensor:
    """Return the Wasserstein critic's loss with the gradient penalty of Gulrajani et al. (NeurIPS 2017).

    Args:
        critic: From B×1×S×S images to B×1.
        real: Normal images.
        fake: Generated ones, which are constants here.
        between: B×1×1×1 numbers in [0, 1]: where between each pair the gradient is looked at.
        penalty: Weight of the mean squared deviation of the gradient's norm from 1.

    Example:
        >>> images = torch.zeros(2, 1, 2, 2)
        >>> critic_loss(lambda x: 3 * x.sum((1, 2, 3)), images, images + 1, torch.full((2, 1, 1, 1), 0.5), 10.0)
        tensor(262.)
    """
    point = (real + between * (fake - real)).requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(point).sum(), point, create_graph=True)
    deviation = gradient.flatten(1).norm(dim=1) - 1
    distance = critic(real).mean() - critic(fake).mean()
    loss: Tensor = penalty * deviation.square().mean() - distance
    return loss


class FAnoGanDetector(ReconstructionDetector[FAnoGanConfig]):
    """f-AnoGAN: the distance of an image from what a generator of normal images makes of its code.

    T. Schlegl, P. Seeböck, S. M. Waldstein, G. Langs, U. Schmidt-Erfurth, "f-AnoGAN: Fast unsupervised anomaly
    detection with generative adversarial networks", Medical Image Analysis 54, 2019; the variant `izi_f`. The score is
    the mean squared difference of the pixels, on the scale [-1, 1], and of the critic's last features. The published
    size is 64 pixels; larger images get more blocks, or are reduced (`config.reduction`).

    Args:
        config: Settings of the training; None is `FAnoGanConfig` with its defaults.
        white: White level that 16-bit files are read with, kept for scoring.

    Example:
        >>> from anatpaste_aug.datasets import phantom_task
        >>> task = phantom_task(32, train=8, val=8, test=4)
        >>> config = FAnoGanConfig(image_size=32, batch_size=4, updates=2, gan_updates=1, width=4, latent=8)
        >>> detector = FAnoGanDetector(config).fit(task.train.images, task.val.images, task.val.labels)
        >>> detector.predict(task.test.images).abnormal.shape
        (4,)
    """

    config_type: ClassVar = FAnoGanConfig
    trainer_type: ClassVar = FAnoGanTrainer

    @staticmethod
    def make_net(config: FAnoGanConfig) -> FAnoGanNet:
        """Return the untrained networks, on the CPU."""
        return FAnoGanNet(config.network_size, config.width, config.latent, config.feature_weight)
