"""AnatPaste in Lightning: a segmenter of anomalies, trained on batches that are augmented after their transfer.

python examples/lightning_module.py
"""

import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from torch import Tensor, nn
from torch.utils.data import DataLoader

from anatpaste_aug import AnatPasteTransform
from anatpaste_aug.adapters.lightning import LightningPasteMixin
from anatpaste_aug.datasets import phantom_batch


class AnomalySegmenter(LightningPasteMixin, LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.paste = AnatPasteTransform()
        self.writes = "target"  # the soft mask: the loss takes numbers between 0 and 1
        self.net = nn.Sequential(
            nn.Conv2d(1, 16, 7, padding=3), nn.ReLU(), nn.Conv2d(16, 16, 7, padding=3), nn.ReLU(), nn.Conv2d(16, 1, 1)
        )

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, target = batch  # the loader gives images alone
        loss = nn.functional.binary_cross_entropy_with_logits(self.net(images), target)
        self.log("loss", loss)
        self.log("anomalous", (target > 0).float().mean())
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def main(size: int = 64, count: int = 32, epochs: int = 2) -> None:
    seed_everything(0)
    images = phantom_batch(count, size=size).images.float() / 255
    trainer = Trainer(max_epochs=epochs, logger=False, enable_checkpointing=False, enable_progress_bar=False)
    trainer.fit(AnomalySegmenter(), DataLoader(list(images), batch_size=8, shuffle=True))
    loss, share = (float(trainer.callback_metrics[name]) for name in ("loss", "anomalous"))
    print(f"{trainer.global_step} steps: loss {loss:.3f}, {share:.1%} of the pixels anomalous")


if __name__ == "__main__":
    main()
