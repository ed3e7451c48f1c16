"""Table I on the Zhanglab pediatric radiographs (normal against pneumonia), by the paper's protocol.

python benchmarks/zhanglab.py --root DIR --cache CACHE --preset paper --seeds 0 1 2 3 4
"""

from experiment import run

if __name__ == "__main__":
    raise SystemExit(run("zhanglab", __doc__, [1]))
