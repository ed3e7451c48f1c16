"""From the authors' published class, or from any CutPaste code base, to this package.

Before, one PIL image at a time in the workers, segmented anew each time it is seen:

    after = transforms.Compose([transforms.ToTensor(), transforms.Normalize([0.5], [0.5])])
    transform = transforms.Compose([transforms.Resize((256, 256)), AnatPaste(transform=after)])
    loader = DataLoader(dataset(transform), batch_size=64, collate_fn=cut_paste_collate_fn)
    for normal, augmented in loader:
        inputs = torch.cat([normal, augmented])
        labels = torch.arange(2).repeat_interleave(len(normal))

After, in two steps; this file runs both on phantom radiographs.

1. `in_the_loader`: the same place, three lines changed. Masks and correct labels (also for p < 1) come along.
2. `on_the_device`: the loader yields normal images, the lungs are found once, and the batch is made where it is used.

What was called              is called
AnatPaste(area_ratio=)       AnatPasteTransform(area=)
    aspect_ratio=0.3             aspect_ratio=(0.3, 1 / 0.3)
    blur_ratio=[0, 15]           sigma=(0, 15)
    mask_ratio=[150, 255]        opacity=(0.59, 1)
    margin=, colorJitter=        margin=, jitter=
CutPasteNormal, -Scar        CutPasteTransform(variant="normal"), variant="scar"
    width=, height=              scar_width=, scar_length=
CutPasteUnion                CutPasteTransform(variant="union")
CutPaste3Way                 OneClassPairs(CutPasteTransform(variant="normal"), CutPasteTransform(variant="scar"))
cut_paste_collate_fn         collate_one_class
"""

from collections.abc import Iterable, Iterator

import PIL.Image
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as tvf

from anatpaste_aug import AnatPasteTransform, OneClassPairs, collate_one_class, one_class_batch
from anatpaste_aug.datasets import phantom_batch
from anatpaste_aug.transforms import OneClassBatch


def in_the_loader(pictures: Iterable[PIL.Image.Image], size: int) -> Iterable[OneClassBatch]:
    """Step 1: the transform and the collate function are exchanged, and what followed inside now follows behind."""
    transform = v2.Compose(
        [
            v2.Resize((size, size)),
            OneClassPairs(AnatPasteTransform()),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.5], [0.5]),
        ]
    )
    samples = [transform(picture) for picture in pictures]  # a dataset would do this in __getitem__
    return DataLoader(samples, batch_size=8, collate_fn=collate_one_class)


def on_the_device(images: Tensor, device: str) -> Iterator[OneClassBatch]:
    """Step 2: normal images from the loader, with regions that were found once; all else in whole batches."""
    transform = AnatPasteTransform()
    lungs = transform.segmenter(images)
    for normal, region_mask in DataLoader(TensorDataset(images, lungs), batch_size=8, shuffle=True):
        batch = one_class_batch(normal.to(device), transform, region_mask=region_mask.to(device))
        yield batch._replace(images=(batch.images.float() / 255 - 0.5) / 0.5)


def main() -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    images = phantom_batch(16, size=128).images
    for name, batches in (
        ("in the loader", in_the_loader([tvf.to_pil_image(image) for image in images], 128)),
        ("on the device", on_the_device(images, device)),
    ):
        for batch in batches:
            print(f"{name}: images {tuple(batch.images.shape)}, labels {batch.labels.tolist()}")


if __name__ == "__main__":
    main()
