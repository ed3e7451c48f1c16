#!/usr/bin/env bash
# Everything that only a GPU can show, within 5 minutes: the tests on CUDA, all recipes in a captured CUDA graph, and
# their images per second and cost in a training step. Needs a GPU and torch 2.11 or newer; nothing has to be installed
# but torchvision, filelock, tqdm, and for the tests pytest, hypothesis, SciPy and scikit-image.
#
#   benchmarks/on_gpu.sh [FOLDER] [OPTION...]    # writes FOLDER/on_gpu.json and .md; default: runs/on_gpu
#
# Exit code: 0; 1 where a test or a recipe failed; 2 where nothing could be run, with one line that says why.
set -u
cd "$(dirname "$0")/.." || exit 2
python=${PYTHON:-$(command -v python3 || command -v python)}
folder=runs/on_gpu
if [ $# -gt 0 ] && [ "${1#-}" = "$1" ]; then
    folder=$1
    shift
fi
"$python" - <<'EOF' || exit 2
import importlib.util
import sys

missing = [name for name in ("torch", "torchvision", "numpy", "filelock", "tqdm") if importlib.util.find_spec(name) is None]
if missing:
    sys.exit(f"on_gpu.sh: nothing was run: {sys.executable} has no {', '.join(missing)}; pip install {' '.join(missing)}")
import torch

if tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 11):
    sys.exit(f"on_gpu.sh: nothing was run: needs torch 2.11 or newer, found {torch.__version__}")
if not torch.cuda.is_available():
    sys.exit(
        f"on_gpu.sh: nothing was run: torch {torch.__version__} sees no CUDA device, and the CUDA tests, the captured "
        "graphs, and the figures of throughput and training need one"
    )
EOF
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
exec "$python" benchmarks/on_gpu.py --out "$folder" "$@"
