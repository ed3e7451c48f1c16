"""Chest radiographs for training and testing: raw downloads, your own images, splits by patient, and phantoms.

>>> from anatpaste_aug.datasets import phantom_task, zhanglab_task
>>> task = zhanglab_task("downloads", size=256)  # doctest: +SKIP
>>> phantom_task(64, train=4, val=2, test=2).train.images.shape
torch.Size([4, 1, 64, 64])

Reading DICOM needs pydicom: ``pip install "anatpaste_aug[datasets]"``.
"""

from anatpaste_aug.datasets.chexpert.index import ChexpertIndex, index_chexpert
from anatpaste_aug.datasets.chexpert.split import split_chexpert
from anatpaste_aug.datasets.chexpert.task import chexpert_task
from anatpaste_aug.datasets.files.cache import cached_images
from anatpaste_aug.datasets.files.dicom import read_dicom_gray
from anatpaste_aug.datasets.files.images import load_images, read_gray
from anatpaste_aug.datasets.files.white import White, find_white
from anatpaste_aug.datasets.folder.layout import index_folder, index_images
from anatpaste_aug.datasets.folder.manifest import index_manifest
from anatpaste_aug.datasets.folder.regions import with_regions
from anatpaste_aug.datasets.folder.split import split_folder
from anatpaste_aug.datasets.folder.task import folder_task
from anatpaste_aug.datasets.phantom.radiograph import FINDINGS, Phantom, PhantomBatch, phantom_batch, phantom_radiograph
from anatpaste_aug.datasets.phantom.task import phantom_task
from anatpaste_aug.datasets.records import DatasetError, Record, Unreadable
from anatpaste_aug.datasets.rsna.index import RsnaIndex, index_rsna
from anatpaste_aug.datasets.rsna.split import split_rsna
from anatpaste_aug.datasets.rsna.task import rsna_task
from anatpaste_aug.datasets.splits import Split
from anatpaste_aug.datasets.subsets import DetectionTask, Subset
from anatpaste_aug.datasets.zhanglab.download import download_zhanglab
from anatpaste_aug.datasets.zhanglab.index import ZhanglabIndex, index_zhanglab
from anatpaste_aug.datasets.zhanglab.split import split_zhanglab
from anatpaste_aug.datasets.zhanglab.task import zhanglab_task

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
