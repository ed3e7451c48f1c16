"""Tables I and III on CheXpert (PA); with --table 2 instead, Table II on each disease, by the paper's protocol.

python benchmarks/chexpert.py --root DIR --cache CACHE --preset paper --seeds 0 1 2 3 4
"""

from experiment import run

if __name__ == "__main__":
    raise SystemExit(run("chexpert", __doc__, [1, 3]))
