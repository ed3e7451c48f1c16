"""AnatPaste's detection pipeline from radiographs to an AUROC (Sato et al., arXiv 2205.04282).

    python examples/reproduce_paper.py                                      # phantom radiographs, a few minutes
    python examples/reproduce_paper.py --dataset zhanglab --root DOWNLOAD   # real ones; also chexpert, rsna
    python examples/reproduce_paper.py --out RUN --resume                   # go on after an interruption
    torchrun --nproc-per-node 4 examples/reproduce_paper.py --out RUN ...   # one process per GPU

A ResNet-18 learns to tell normal radiographs from their AnatPaste augmentations; a kernel density estimate over its
features of the normal training images then scores the test images. Everything goes into a run folder; open its
report.html.
"""

import argparse
import dataclasses
import json
import os
import shlex
import sys
import time
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path

import torch
from tqdm import tqdm

from anatpaste_aug import AnatPasteTransform, datasets
from anatpaste_aug.detection import (
    Detector,
    MethodScores,
    Progress,
    TensorBoardLog,
    TrainConfig,
    TrainResult,
    environment,
    extremes_figure,
    gallery_figure,
    group_aurocs,
    history_figure,
    image_statistics,
    judge,
    main_first,
    one_number_methods,
    process_group,
    results_table,
    roc_figure,
    save_checkpoint,
    train,
    write_metrics_json,
    write_report,
    write_scores_csv,
)
from anatpaste_aug.files import atomic_path

PRESETS = {
    # The paper's setting, for a GPU: 256 epochs of 256 updates of 64 normal and 64 augmented images.
    "paper": {"image_size": 256, "batch_size": 64, "updates": 65536, "updates_per_epoch": 256},
    # Within an hour on 2 CPU cores.
    "cpu": {"image_size": 64, "batch_size": 64, "updates": 900, "updates_per_epoch": 50},
    # The default for phantoms: a few minutes on 2 CPU cores.
    "demo": {"image_size": 64, "batch_size": 32, "updates": 240, "updates_per_epoch": 40},
    # Within a minute on 2 CPU cores: shows that everything runs, not what it can do.
    "smoke": {"image_size": 64, "batch_size": 16, "updates": 30, "updates_per_epoch": 15},
}

REAL = ("zhanglab", "chexpert", "rsna")
# Which datasets an option is for.
OPTIONS = {
    "root": REAL,
    "cache": REAL,
    "split": REAL,
    "name": REAL,
    "download": ("zhanglab",),
    "views": ("chexpert", "rsna"),
    "per_disease": ("chexpert",),
    "exclude_support_devices": ("chexpert",),
}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", choices=("phantom", *REAL), default="phantom")
    parser.add_argument("--root", type=Path, help="folder of the raw download; not needed for phantoms")
    parser.add_argument("--download", action="store_true", help="zhanglab: fetch it to --root first (1.15 GB)")
    parser.add_argument("--cache", type=Path, help="folder that keeps decoded images for the next run")
    parser.add_argument("--views", choices=("PA", "all"), help="chexpert, rsna: default PA, as in the paper")
    parser.add_argument("--per-disease", action="store_true", help="chexpert: test on 300 images of each disease")
    parser.add_argument("--exclude-support-devices", action="store_true", help="chexpert: no normals with devices")
    parser.add_argument("--name", help="how results name the data, where it is not the published set")
    parser.add_argument("--split", type=Path, help="split.json of another run, to repeat its split")
    parser.add_argument("--preset", choices=PRESETS, help="default: demo for phantoms, cpu for a dataset")
    parser.add_argument("--backbone", default="resnet18", help="any timm model name")
    parser.add_argument("--seed", type=int, default=0, help="of the weights and the augmentations")
    parser.add_argument("--split-seed", type=int, default=0, help="of the validation split")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--amp", action="store_true", help="mixed precision in training, for GPUs")
    parser.add_argument("--sync-bn", action="store_true", help="torchrun on GPUs: BatchNorm over the whole batch")
    parser.add_argument("--tensorboard", action="store_true", help="log to OUT/tensorboard")
    parser.add_argument("--checkpoint-every", type=int, metavar="N", help="updates; default: only at validations")
    parser.add_argument("--out", type=Path, help="run folder, must be new or empty; default: a new one below runs/")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out, with its settings")
    parser.set_defaults(command=shlex.join(["python", *sys.argv]))
    arguments = parser.parse_args()
    if arguments.resume:
        begun = arguments.out and arguments.out / "config.json"
        if not begun or not begun.is_file() or (arguments.out / "report.html").exists():
            parser.error("--resume needs --out RUN, the folder of a run that has begun and is not complete")
        parser.set_defaults(**json.loads(begun.read_text()))
        arguments = parser.parse_args()
    if arguments.dataset != "phantom" and arguments.root is None:
        parser.error(f"--dataset {arguments.dataset} needs --root DIR")
    for option, owners in OPTIONS.items():
        if getattr(arguments, option) and arguments.dataset not in owners:
            parser.error(f"--{option.replace('_', '-')} needs --dataset {' or '.join(owners)}")
    arguments.preset = arguments.preset or ("demo" if arguments.dataset == "phantom" else "cpu")
    if "RANK" in os.environ and arguments.out is None:
        parser.error("torchrun needs --out, so that all processes have the same folder")
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    arguments.out = arguments.out or Path("runs") / f"{arguments.dataset}-{arguments.preset}-{stamp}"
    fresh = not arguments.resume and os.environ.get("RANK", "0") == "0"  # process 0 creates it, the others may find it
    if fresh and arguments.out.exists() and (not arguments.out.is_dir() or any(arguments.out.iterdir())):
        parser.error(f"--out {arguments.out} exists and is not an empty folder; name a new one, or --resume")
    return arguments


def load_task(arguments: argparse.Namespace, size: int) -> datasets.DetectionTask:
    if arguments.dataset == "phantom":
        return datasets.phantom_task(size, seed=arguments.split_seed)
    options = {"seed": arguments.split_seed, "cache": arguments.cache}
    if arguments.split:
        options["split"] = datasets.Split.load(arguments.split)
    if arguments.name:
        options["name"] = arguments.name
    if arguments.dataset == "zhanglab":
        if arguments.download:
            datasets.download_zhanglab(arguments.root)
        return datasets.zhanglab_task(arguments.root, size, **options)
    options["views"] = arguments.views or "PA"
    if arguments.dataset == "rsna":
        return datasets.rsna_task(arguments.root, size, **options)
    return datasets.chexpert_task(
        arguments.root,
        size,
        protocol="diseases" if arguments.per_disease else "overall",
        exclude_support_devices=arguments.exclude_support_devices,
        **options,
    )


def begin_run(arguments: argparse.Namespace, config: TrainConfig, task: datasets.DetectionTask) -> None:
    """The run folder, with all that it takes to repeat the run or to go on with it."""
    print(f"{task.name}: {task.protocol}")
    if task.note:
        print(task.note)
    if arguments.resume:
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    if task.split is not None:
        task.split.save(arguments.out / "split.json")
    settings = {name: value for name, value in vars(arguments).items() if name not in ("out", "resume")}
    settings |= dataclasses.asdict(config) | {"processes": int(os.environ.get("WORLD_SIZE", "1"))}
    with atomic_path(arguments.out / "config.json") as file:
        file.write_text(json.dumps(settings, indent=2, default=str) + "\n")


def train_with_bar(
    arguments: argparse.Namespace,
    config: TrainConfig,
    task: datasets.DetectionTask,
    transform: AnatPasteTransform,
    main: bool,
) -> TrainResult:
    """In every process of torchrun; the main one shows how far it is."""
    # The lungs of an image never change: they are found once and handed to every call.
    lungs = transform.segmenter(task.train.images)
    if main and (missing := int((~lungs.flatten(1).any(1)).sum())):
        print(f"no lungs found in {missing} of {len(lungs)} training images: patches go anywhere in those")
    log = TensorBoardLog(arguments.out / "tensorboard") if arguments.tensorboard and main else None
    with tqdm(total=config.updates, desc="training", unit="update", disable=not main) as bar, log or nullcontext():

        def show(progress: Progress) -> None:
            if log is not None:
                log(progress)
            auroc = "–" if progress.val_auroc is None else f"{progress.val_auroc:.3f}"
            bar.set_postfix_str(f"loss {progress.loss:.3f}, validation AUROC {auroc}", refresh=False)
            bar.update(progress.update - bar.n)

        return train(
            config,
            task.train.images,
            task.val.images,
            task.val.labels,
            transform.augment,
            lung_masks=lungs,
            callback=show,
            checkpoint=arguments.out / "training.pt",
            checkpoint_every=arguments.checkpoint_every,
            resume=arguments.resume,
        )


def write_results(
    run: Path,
    task: datasets.DetectionTask,
    transform: AnatPasteTransform,
    result: TrainResult,
    start: float,
    command: str,
) -> None:
    config = result.config
    labels = task.test.labels
    rows, columns, extra, groups = [], {}, {}, {}
    for weights in ("best", "last"):
        model = result.model(weights)
        detector = Detector.fit(model, task.train.images, task.val.images, task.val.labels, bandwidth=config.bandwidth)
        scores = MethodScores(weights, detector.score(task.val.images), detector.score(task.test.images))
        columns[weights], columns[f"{weights}_scaled"] = scores.test, detector.scaler.transform(scores.test)
        groups[weights] = group_aurocs(labels, scores.test, task.groups())
        extra[weights] = detector.state()
        update = result.best_update if weights == "best" else config.updates
        rows.append(judge(scores, task.val.labels, labels, dataset=task.name, update=update))
    # What one number per image achieves, without any learning: a detector has to beat it.
    baselines = one_number_methods(
        image_statistics(task.val.images), task.val.labels, image_statistics(task.test.images)
    )
    rows += [judge(method, task.val.labels, labels, dataset=task.name) for method in baselines]
    save_checkpoint(run / "checkpoint.pt", result, extra)
    write_scores_csv(run / "scores.csv", task.test.names, task.test.labels, columns)
    seconds = time.perf_counter() - start
    about = {"protocol": task.protocol, "note": task.note, "groups": groups, "seconds": seconds}
    about["environment"] = environment(config.device)
    write_metrics_json(run / "metrics.json", rows, about)

    curves = {f"{row.weights} weights": row for row in rows[:2]}
    roc_figure(
        run / "roc.png",
        {name: (labels, columns[row.weights]) for name, row in curves.items()},
        note=task.note,
        intervals={name: row.interval for name, row in curves.items()},
    )
    history_figure(run / "history.png", result.history, best_update=result.best_update, note=task.note)
    shown = task.train.images[:6]
    torch.manual_seed(config.seed)
    example = transform.augment(shown)
    gallery_figure(run / "gallery.png", shown, example.lung_mask, example.soft_mask, example.image, note=task.note)
    extremes_figure(
        run / "extremes.png",
        task.test.images,
        labels,
        columns["best_scaled"],
        extra["best"]["scaled_threshold"],
        names=task.test.names,
        note=task.note,
    )
    report = write_report(
        run,
        title=f"AnatPaste on {task.name}",
        config=config,
        data=task.counts(),
        rows=rows,
        figures={name: f"{name}.png" for name in ("roc", "history", "gallery", "extremes")},
        environment=about["environment"],
        protocol=task.protocol,
        data_note=task.note,
        command=command,
        seconds=seconds,
    )
    print(results_table(rows))
    for name, group in groups["best"].items():
        value = "too few for an AUROC" if group["auroc"] is None else f"AUROC {group['auroc']:.3f}"
        print(f"{name}: {value} (best weights, {group['normal']} normal + {group['abnormal']} abnormal)")
    if task.note:
        print(task.note)
    print(f"report: {report}")


def main() -> None:
    start = time.perf_counter()
    arguments = parse_arguments()
    options = {name: getattr(arguments, name) for name in ("backbone", "seed", "device", "amp", "sync_bn")}
    config = TrainConfig(**PRESETS[arguments.preset], **options)
    transform = AnatPasteTransform()
    with process_group(config.device) as main_process:
        with main_first():
            task = load_task(arguments, config.image_size)
            if main_process:
                begin_run(arguments, config, task)
        loaded = time.perf_counter()
        result = train_with_bar(arguments, config, task, transform, main_process)
    if main_process:
        # The time before an interruption counts too.
        start += time.perf_counter() - loaded - result.history[-1].seconds
        write_results(arguments.out, task, transform, result, start, arguments.command)
        (arguments.out / "training.pt").unlink()  # nothing is left to resume


if __name__ == "__main__":
    main()
