"""The experiments of the AnatPaste paper, from radiographs to tables and figures (Sato et al., arXiv 2205.04282).

    python examples/reproduce_paper.py                                      # phantom radiographs, a few minutes
    python examples/reproduce_paper.py --dataset zhanglab --root DOWNLOAD   # real ones; also chexpert, rsna
    torchrun --nproc-per-node 4 examples/reproduce_paper.py --out RUN ...   # one process per GPU

The same as `python -m anatpaste_aug reproduce`; --help lists the options. `anatpaste_aug/cli/reproduce.py` does it.
"""

from anatpaste_aug.cli import run_command

if __name__ == "__main__":
    raise SystemExit(run_command("reproduce", prog="python examples/reproduce_paper.py"))
