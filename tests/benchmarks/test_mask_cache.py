"""The benchmark of the mask cache: what it prints on a tiny run."""

import re

import pytest

pytest.importorskip("skimage", reason='needs scikit-image: pip install "anatpaste_aug[tests]"')


@pytest.fixture
def benchmark(benchmarks):
    return benchmarks("mask_cache")


@pytest.mark.slow
def test_a_tiny_run_prints_its_figures(benchmark, tmp_path, capsys):
    least = "--count 4 --batch 2 --size 64 --threads 1 --workers 1 --repeats 1 --round-seconds 0 --phantoms --folder"
    benchmark.main([*least.split(), str(tmp_path)])
    printed = capsys.readouterr().out
    assert "4 images of 64 px, phantoms (synthetic), batches of 2" in printed
    assert re.search(r"commit \S+", printed)
    rows = re.findall(r"^\| ([a-g])  .* \| (\d+) \[(\d+)–(\d+)\] \| ([\d.]+)× \|$", printed, re.MULTILINE)
    assert [row[0] for row in rows] == list("abcdefg")
    assert all(0 < int(low) <= int(middle) <= int(high) for _, middle, low, high, _ in rows)
    assert "kB of disk an image" in printed
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wish", [["--count", "0"], ["--size", "31"]])
def test_impossible_wishes_are_named(benchmark, capsys, wish):
    with pytest.raises(SystemExit, match="2"):
        benchmark.parse(wish)
    assert f"{' '.join(wish)}: must be at least" in capsys.readouterr().err
