"""Chest radiographs to train and test on: raw downloads, splits by patient, phantoms.

>>> from anatpaste_aug.datasets import phantom_task, zhanglab_task
>>> task = zhanglab_task("downloads", size=256)  # doctest: +SKIP
>>> phantom_task(64, train=4, val=2, test=2).train.images.shape
torch.Size([4, 1, 64, 64])

Reading DICOM needs pydicom: ``pip install "anatpaste_aug[datasets]"``.
"""

from anatpaste_aug.datasets.cache import cached_images
from anatpaste_aug.datasets.chexpert import ChexpertIndex, index_chexpert
from anatpaste_aug.datasets.chexpert_split import split_chexpert
from anatpaste_aug.datasets.dicom import read_dicom_gray
from anatpaste_aug.datasets.download import download_zhanglab
from anatpaste_aug.datasets.folder.layout import index_folder, index_images
from anatpaste_aug.datasets.folder.manifest import index_manifest
from anatpaste_aug.datasets.folder.regions import with_regions
from anatpaste_aug.datasets.folder.split import split_folder
from anatpaste_aug.datasets.folder.task import folder_task
from anatpaste_aug.datasets.images import load_images, read_gray
from anatpaste_aug.datasets.phantom import FINDINGS, Phantom, PhantomBatch, phantom_batch, phantom_radiograph
from anatpaste_aug.datasets.records import DatasetError, Record, Unreadable
from anatpaste_aug.datasets.rsna import RsnaIndex, index_rsna, split_rsna
from anatpaste_aug.datasets.splits import Split
from anatpaste_aug.datasets.subsets import DetectionTask, Subset
from anatpaste_aug.datasets.tasks import chexpert_task, phantom_task, rsna_task, zhanglab_task
from anatpaste_aug.datasets.white import White, find_white
from anatpaste_aug.datasets.zhanglab import ZhanglabIndex, index_zhanglab
from anatpaste_aug.datasets.zhanglab_split import split_zhanglab

__all__ = [
    "FINDINGS",
    "ChexpertIndex",
    "DatasetError",
    "DetectionTask",
    "Phantom",
    "PhantomBatch",
    "Record",
    "RsnaIndex",
    "Split",
    "Subset",
    "Unreadable",
    "White",
    "ZhanglabIndex",
    "cached_images",
    "chexpert_task",
    "download_zhanglab",
    "find_white",
    "folder_task",
    "index_chexpert",
    "index_folder",
    "index_images",
    "index_manifest",
    "index_rsna",
    "index_zhanglab",
    "load_images",
    "phantom_batch",
    "phantom_radiograph",
    "phantom_task",
    "read_dicom_gray",
    "read_gray",
    "rsna_task",
    "split_chexpert",
    "split_folder",
    "split_rsna",
    "split_zhanglab",
    "with_regions",
    "zhanglab_task",
]
