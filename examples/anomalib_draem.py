"""Train anomalib's DRAEM on radiographs with AnatPaste anomalies instead of Perlin noise.

python examples/anomalib_draem.py
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from anomalib.data import Folder
from anomalib.engine import Engine
from anomalib.models import Draem
from torchvision.transforms.v2.functional import to_pil_image

from anatpaste_aug import AnatPasteTransform
from anatpaste_aug.adapters.anomalib import AnomalibPaste
from anatpaste_aug.datasets import phantom_batch


def main(size: int = 64, count: int = 12) -> None:
    with TemporaryDirectory() as folder:
        phantoms = phantom_batch(count, size=size, abnormal=0.25)
        for i, (image, label) in enumerate(zip(phantoms.images, phantoms.labels.tolist(), strict=True)):
            path = Path(folder) / ("abnormal" if label else "normal") / f"{i}.png"
            path.parent.mkdir(exist_ok=True)
            to_pil_image(image).save(path)
        data = Folder(
            name="chest",
            root=folder,
            normal_dir="normal",
            abnormal_dir="abnormal",
            train_batch_size=4,
            num_workers=0,
        )
        # DRAEM would download a texture data set, which AnatPaste does not need: an existing folder keeps it from that.
        model = Draem(dtd_dir=folder, pre_processor=Draem.configure_pre_processor((size, size)))
        model.augmenter = AnomalibPaste(AnatPasteTransform(p=0.5))  # the whole change
        engine = Engine(max_epochs=1, accelerator="cpu", default_root_dir=folder, logger=False)
        engine.fit(model, datamodule=data)
        loss = float(engine.trainer.callback_metrics["train_loss"])
        print(f"DRAEM trained for {engine.trainer.global_step} steps with AnatPaste anomalies: loss {loss:.3f}")


if __name__ == "__main__":
    main()
