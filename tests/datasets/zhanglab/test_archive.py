"""Valid archives are unpacked completely, and invalid ones write nothing."""

import stat
import zipfile

import pytest

from anatpaste_aug.datasets import DatasetError
from anatpaste_aug.datasets.zhanglab import archive
from anatpaste_aug.datasets.zhanglab.archive import unzip


def pack(path, files, links=(), method=zipfile.ZIP_DEFLATED, kind=stat.S_IFLNK):
    with zipfile.ZipFile(path, "w", method) as packed:
        for name, content in files:
            packed.writestr(name, content)
        for name in links:
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, (kind | 0o777) << 16
            packed.writestr(info, "/etc")
    return path


def found(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_come_out_without_hidden_ones(tmp_path):
    files = [("set/", b""), ("set/a/b.jpeg", b"1" * 500), ("set/..c", b"dots"), ("d.txt", b"")]
    hidden = [("__MACOSX/set/._b.jpeg", b"x"), ("set/.DS_Store", b"x")]
    unzip(pack(tmp_path / "a.zip", files + hidden), tmp_path / "new" / "out", progress=False)
    assert found(tmp_path / "new" / "out") == {"set/a/b.jpeg": b"1" * 500, "d.txt": b""}


@pytest.mark.parametrize(
    "name",
    [
        "../out.txt",
        "a/../../out.txt",
        "/out.txt",
        "//out.txt",
        "///out.txt",
        "a\\..\\..\\out.txt",
        "C:/out.txt",
        "..",
        "a/./../b",
    ],
)
def test_paths_that_leave_the_folder(tmp_path, name):
    pack(tmp_path / "a.zip", [("good.txt", b"1"), (name, b"2")])
    with pytest.raises(DatasetError, match=r"dangerous: the path .* may leave the folder"):
        unzip(tmp_path / "a.zip", tmp_path / "deep" / "out", progress=False)
    assert [path.name for path in tmp_path.rglob("*")] == ["a.zip"]


def test_two_slashes_at_the_beginning_do_not_lead_to_the_root(tmp_path):
    pack(tmp_path / "a.zip", [(f"/{tmp_path / 'evil.txt'}", b"2")])
    with pytest.raises(DatasetError, match=r"dangerous: the path '//.*evil.txt' may leave the folder"):
        unzip(tmp_path / "a.zip", tmp_path / "out", progress=False)
    assert [path.name for path in tmp_path.rglob("*")] == ["a.zip"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices(tmp_path, kind):
    pack(tmp_path / "a.zip", [("good.txt", b"1")], links=["link"], kind=kind)
    with pytest.raises(DatasetError, match="dangerous: 'link' is a link or a device"):
        unzip(tmp_path / "a.zip", tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "names",
    [
        ("a.txt", "a.txt"),
        ("a.txt", "A.TXT"),
        ("B/a", "b/A"),
        ("é", "e\N{COMBINING ACUTE ACCENT}"),
        ("a", "a."),
        ("a//b", "a/b"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice(tmp_path, names):
    pack(tmp_path / "a.zip", [(name, b"1") for name in names])
    with pytest.raises(DatasetError, match="is in it twice"):
        unzip(tmp_path / "a.zip", tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("names", [("a", "a/b"), ("c/a/b/d", "C/A")])
def test_a_name_that_is_a_file_and_a_folder(tmp_path, names):
    pack(tmp_path / "a.zip", [(name, b"1") for name in names])
    with pytest.raises(DatasetError, match=r"'(c/)?a' is both a file and a folder in it"):
        unzip(tmp_path / "a.zip", tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[2J", "x" * 256, "\N{GREEK SMALL LETTER ALPHA}" * 128])
def test_names_that_some_system_cannot_store(tmp_path, name):
    pack(tmp_path / "a.zip", [(name, b"1")])
    with pytest.raises(DatasetError, match="is not a valid file name on every system"):
        unzip(tmp_path / "a.zip", tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_a_name_that_is_no_text(tmp_path):
    path = pack(tmp_path / "a.zip", [("é", b"1")])
    path.write_bytes(path.read_bytes().replace("é".encode(), b"\xff\xfe"))
    with pytest.raises(DatasetError, match="not a zip archive, or damaged"):
        unzip(path, tmp_path / "out", progress=False)


def test_bombs(tmp_path, monkeypatch):
    pack(tmp_path / "a.zip", [("zeros", bytes(10**6))])
    with pytest.raises(DatasetError, match="dangerous: 'zeros' is compressed by more than a factor of 200"):
        unzip(tmp_path / "a.zip", tmp_path / "out", progress=False)
    pack(tmp_path / "b.zip", [(f"{i}", b"12345") for i in range(9)])
    for limit, value in (("_MOST_FILES", 8), ("_MOST_BYTES", 44)):
        with monkeypatch.context() as patch:
            patch.setattr(archive, limit, value)
            with pytest.raises(DatasetError, match="dangerous: 9 files of 45 bytes"):
                unzip(tmp_path / "b.zip", tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_files_that_share_their_bytes(tmp_path):
    """Overlapping files, as in decompression bombs that stay below every ratio."""
    path = pack(tmp_path / "a.zip", [(f"{i}", bytes(range(256)) * 4) for i in range(3)], method=zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace((1024).to_bytes(4, "little"), (2048).to_bytes(4, "little")))
    with pytest.raises(DatasetError, match=r"dangerous: files that share their bytes, 6,144 in an archive of 3,\d+"):
        unzip(path, tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_no_more_than_the_declared_size_is_written(tmp_path):
    path = pack(tmp_path / "a.zip", [("zeros", bytes(50_000))])
    content = path.read_bytes().replace((50_000).to_bytes(4, "little"), (5).to_bytes(4, "little"))
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="damaged"):
        unzip(path, tmp_path / "out", progress=False)
    assert all(len(data) <= 5 for data in found(tmp_path / "out").values())


def test_no_room(tmp_path, monkeypatch):
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda folder: type("usage", (), {"free": 4}))
    with pytest.raises(OSError, match="unpacking needs 5 bytes, 4 are free: make room"):
        unzip(pack(tmp_path / "a.zip", [("a", b"12345")]), tmp_path / "out", progress=False)


def test_damaged(tmp_path):
    whole = pack(tmp_path / "a.zip", [("a", bytes(range(256)) * 8)], method=zipfile.ZIP_STORED).read_bytes()
    flipped = whole[:200] + bytes([whole[200] ^ 1]) + whole[201:]
    for content in (b"", b"<html>404</html>", whole[: len(whole) // 2], flipped):
        (tmp_path / "b.zip").write_bytes(content)
        with pytest.raises(DatasetError, match="not a zip archive, or damaged"):
            unzip(tmp_path / "b.zip", tmp_path / f"out{len(content)}", progress=False)


def test_unusual_packing(tmp_path):
    pack(tmp_path / "a.zip", [("a", b"1")], method=zipfile.ZIP_LZMA)
    with pytest.raises(DatasetError, match="encrypted, or compressed with an unsupported method"):
        unzip(tmp_path / "a.zip", tmp_path / "out", progress=False)
