"""The paper's detector on top of the augmentation: train, score, evaluate, and report.

Needs the extra ``anatpaste_aug[examples]``; ``import anatpaste_aug`` alone does not load any of it.
"""

try:
    from anatpaste_aug.detection.batches import jitter_images
    from anatpaste_aug.detection.checkpoint import load_checkpoint, save_checkpoint
    from anatpaste_aug.detection.config import TrainConfig, half_cosine
    from anatpaste_aug.detection.figures import extremes_figure, gallery_figure, history_figure, roc_figure
    from anatpaste_aug.detection.kde import GaussianKDE
    from anatpaste_aug.detection.metrics import Metrics, ScoreScaler, auroc, best_f1_threshold, evaluate, group_aurocs
    from anatpaste_aug.detection.model import PretextNet, extract_features, prepare_inputs
    from anatpaste_aug.detection.progress import Progress, TrainResult
    from anatpaste_aug.detection.report import (
        ResultRow,
        environment,
        results_table,
        write_metrics_json,
        write_report,
        write_scores_csv,
    )
    from anatpaste_aug.detection.scoring import score_images
    from anatpaste_aug.detection.tensorboard import TensorBoardLog
    from anatpaste_aug.detection.trainer import Augment
    from anatpaste_aug.detection.training import train
    from anatpaste_aug.detection.workers import main_first, process_group
except ModuleNotFoundError as error:
    if error.name is None or error.name.split(".")[0] not in ("jinja2", "matplotlib", "sklearn"):
        raise
    raise ImportError(
        f"anatpaste_aug.detection needs {error.name}: pip install 'anatpaste_aug[examples]'", name=error.name
    ) from error

__all__ = [
    "Augment",
    "GaussianKDE",
    "Metrics",
    "PretextNet",
    "Progress",
    "ResultRow",
    "ScoreScaler",
    "TensorBoardLog",
    "TrainConfig",
    "TrainResult",
    "auroc",
    "best_f1_threshold",
    "environment",
    "evaluate",
    "extract_features",
    "extremes_figure",
    "gallery_figure",
    "group_aurocs",
    "half_cosine",
    "history_figure",
    "jitter_images",
    "load_checkpoint",
    "main_first",
    "prepare_inputs",
    "process_group",
    "results_table",
    "roc_figure",
    "save_checkpoint",
    "score_images",
    "train",
    "write_metrics_json",
    "write_report",
    "write_scores_csv",
]
