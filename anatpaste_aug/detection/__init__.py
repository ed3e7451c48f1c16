"""The paper's detector on top of the augmentation: train, score, evaluate, and report.

Needs the extra ``anatpaste_aug[examples]``; ``import anatpaste_aug`` alone does not load any of it.
"""

try:
    from anatpaste_aug.detection.evaluation.groups import GroupAuroc, group_aurocs
    from anatpaste_aug.detection.evaluation.intervals import (
        Comparison,
        Interval,
        bootstrap_auroc,
        bootstrap_difference,
        delong_covariance,
        delong_test,
    )
    from anatpaste_aug.detection.evaluation.metrics import Metrics, ScoreScaler, auroc, best_f1_threshold, evaluate
    from anatpaste_aug.detection.evaluation.one_number import (
        image_statistics,
        one_number_methods,
        original_sizes,
        pretrained_net,
        untrained_net,
    )
    from anatpaste_aug.detection.evaluation.results import MethodScores, ensemble, judge
    from anatpaste_aug.detection.evaluation.robustness import (
        common_sharpness,
        fixed_changes,
        match_sharpness,
        robustness_row,
        standard_changes,
    )
    from anatpaste_aug.detection.models.grad_cam import grad_cam
    from anatpaste_aug.detection.models.kde import GaussianKDE
    from anatpaste_aug.detection.models.pretext_detector import WARNING, Detector, Scored
    from anatpaste_aug.detection.models.pretext_net import PretextNet, extract_features, prepare_inputs
    from anatpaste_aug.detection.models.pretext_training import Augment
    from anatpaste_aug.detection.models.scoring import score_images
    from anatpaste_aug.detection.reporting.explanation_figures import augmentations_figure, cam_figure
    from anatpaste_aug.detection.reporting.report import (
        ResultRow,
        environment,
        results_table,
        write_metrics_json,
        write_report,
        write_scores_csv,
    )
    from anatpaste_aug.detection.reporting.result_tables import (
        Auroc,
        MethodRow,
        Table,
        ablation_table,
        groups_table,
        methods_table,
        over_seeds,
    )
    from anatpaste_aug.detection.reporting.run_figures import (
        extremes_figure,
        gallery_figure,
        history_figure,
        roc_figure,
    )
    from anatpaste_aug.detection.studies.methods import METHODS, Method
    from anatpaste_aug.detection.training.batches import jitter_images
    from anatpaste_aug.detection.training.config import PRESETS, TrainConfig, half_cosine
    from anatpaste_aug.detection.training.loop import train
    from anatpaste_aug.detection.training.result import Progress, TrainResult
    from anatpaste_aug.detection.training.result_file import load_checkpoint, save_checkpoint
    from anatpaste_aug.detection.training.tensorboard import TensorBoardLog
    from anatpaste_aug.detection.training.workers import main_first, process_group
except ModuleNotFoundError as error:
    if error.name is None or error.name.split(".")[0] not in ("jinja2", "matplotlib", "scipy", "sklearn"):
        raise
    raise ImportError(
        f"anatpaste_aug.detection needs {error.name}: pip install 'anatpaste_aug[examples]'", name=error.name
    ) from error

__all__ = [
    "METHODS",
    "PRESETS",
    "WARNING",
    "Augment",
    "Auroc",
    "Comparison",
    "Detector",
    "GaussianKDE",
    "GroupAuroc",
    "Interval",
    "Method",
    "MethodRow",
    "MethodScores",
    "Metrics",
    "PretextNet",
    "Progress",
    "ResultRow",
    "ScoreScaler",
    "Scored",
    "Table",
    "TensorBoardLog",
    "TrainConfig",
    "TrainResult",
    "ablation_table",
    "augmentations_figure",
    "auroc",
    "best_f1_threshold",
    "bootstrap_auroc",
    "bootstrap_difference",
    "cam_figure",
    "common_sharpness",
    "delong_covariance",
    "delong_test",
    "ensemble",
    "environment",
    "evaluate",
    "extract_features",
    "extremes_figure",
    "fixed_changes",
    "gallery_figure",
    "grad_cam",
    "group_aurocs",
    "groups_table",
    "half_cosine",
    "history_figure",
    "image_statistics",
    "jitter_images",
    "judge",
    "load_checkpoint",
    "main_first",
    "match_sharpness",
    "methods_table",
    "one_number_methods",
    "original_sizes",
    "over_seeds",
    "prepare_inputs",
    "pretrained_net",
    "process_group",
    "results_table",
    "robustness_row",
    "roc_figure",
    "save_checkpoint",
    "score_images",
    "standard_changes",
    "train",
    "untrained_net",
    "write_metrics_json",
    "write_report",
    "write_scores_csv",
]
