"""Table I on the RSNA Pneumonia Detection Challenge (PA), by the paper's protocol.

python benchmarks/rsna.py --root DIR --cache CACHE --preset paper --seeds 0 1 2 3 4
"""

from experiment import run

if __name__ == "__main__":
    raise SystemExit(run("rsna", __doc__, [1]))
