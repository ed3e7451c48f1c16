"""Train GANomaly and anomalib's GANomaly on the same images, and compare them by validation images.

python benchmarks/ganomaly.py --zhanglab DIR --seeds 0 1 2

Needs anomalib. Both see the same batches, shuffled by the seed, with the optimizer of the authors' code, and are scored
in evaluation mode by the mean squared difference of the two codes. The test images are never scored.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch
from measuring import environment, say
from torch import Tensor

from anatpaste_aug.datasets import DetectionTask, phantom_task, zhanglab_task
from anatpaste_aug.detection.evaluation.metrics import auroc
from anatpaste_aug.detection.models.ganomaly.detector import GanomalyConfig, GanomalyDetector
from anatpaste_aug.detection.models.pretext_net import prepare_inputs
from anatpaste_aug.detection.training.batches import ShuffledBatches


def ours(config: GanomalyConfig, task: DetectionTask) -> float:
    """Return the validation AUROC of the last weights."""
    detector = GanomalyDetector(config).fit(task.train.images, task.val.images, task.val.labels)
    return auroc(task.val.labels, detector.predict(task.val.images).raw)


def theirs(config: GanomalyConfig, task: DetectionTask) -> float:
    """Do the same with anomalib's model and losses, in the order of its training step."""
    from anomalib.models.image.ganomaly.loss import DiscriminatorLoss, GeneratorLoss
    from anomalib.models.image.ganomaly.torch_model import GanomalyModel

    torch.manual_seed(config.seed)
    model = GanomalyModel((config.image_size,) * 2, 1, config.width, config.latent)
    generator_loss, discriminator_loss = GeneratorLoss(), DiscriminatorLoss()
    optimizers = [
        torch.optim.Adam(part.parameters(), lr=config.learning_rate, betas=(0.5, 0.999))
        for part in (model.generator, model.discriminator)
    ]
    batches = ShuffledBatches(len(task.train.images), config.batch_size, torch.Generator().manual_seed(config.seed))
    for _ in range(config.updates):
        real, fake, code, code_of_fake = model(prepare_inputs(task.train.images[batches.draw()]))
        of_real, of_fake = model.discriminator(real)[0], model.discriminator(fake)[0]
        _minimize(optimizers[0], generator_loss(code, code_of_fake, real, fake, of_real, of_fake), keep=True)
        _minimize(optimizers[1], discriminator_loss(of_real, model.discriminator(fake.detach())[0]))
    model.eval()
    with torch.inference_mode():
        scores: Tensor = model(prepare_inputs(task.val.images)).pred_score
    return auroc(task.val.labels, scores)


def _minimize(optimizer: torch.optim.Optimizer, loss: Tensor, *, keep: bool = False) -> None:
    optimizer.zero_grad()
    loss.backward(retain_graph=keep)
    optimizer.step()


def main() -> None:
    """Train both with each seed, and print the AUROC of each and the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zhanglab", type=Path, help="the Zhanglab download; default: phantoms")
    parser.add_argument("--size", type=int, default=32, help="side of the images, a power of two (32)")
    parser.add_argument("--updates", type=int, default=255, help="of each training (255: 15 epochs of Zhanglab)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="N")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    task = (
        zhanglab_task(arguments.zhanglab, arguments.size, progress=False)
        if arguments.zhanglab
        else phantom_task(arguments.size)
    )
    say(f"{environment(torch.device('cpu'))}")
    found: dict[str, list[float]] = {"ours": [], "anomalib": []}
    for seed in arguments.seeds:
        config = GanomalyConfig(
            image_size=arguments.size,
            updates=arguments.updates,
            updates_per_epoch=arguments.updates,
            seed=seed,
            select="last",
        )
        for name, train in (("ours", ours), ("anomalib", theirs)):
            start = time.perf_counter()
            found[name].append(train(config, task))
            say(f"seed {seed}, {name}: validation AUROC {found[name][-1]:.3f}, {time.perf_counter() - start:.0f} s")
    for name, values in found.items():
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        say(f"{name}: mean {statistics.mean(values):.3f}, standard deviation {spread:.3f}")


if __name__ == "__main__":
    main()
