"""The Zhanglab download from a local server: resumed, verified, and complete or absent."""

import io
import signal
import threading
import urllib.request
import zipfile

import pytest
from helpers.forks import count_file_calls, finish, kill_at_file_call, limit_files, start
from helpers.range_server import Server

from anatpaste_aug.datasets import DatasetError, download_zhanglab, index_zhanglab
from anatpaste_aug.datasets.zhanglab import download
from anatpaste_aug.datasets.zhanglab.download import download as fetch_file

COUNTS = {"train": (3, 2), "test": (2, 1)}


def zhanglab_zip(counts=COUNTS, extra=()):
    """An archive in Mendeley's layout with so many (normal, pneumonia) files, which all differ."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for source, (normal, ill) in counts.items():
            for i in range(normal):
                packed.writestr(
                    f"chest_xray/{source}/NORMAL/IM-{i:04d}-0001.jpeg", f"{source}n{i:04d}".encode().ljust(3000)
                )
            for i in range(ill):
                packed.writestr(
                    f"chest_xray/{source}/PNEUMONIA/person{i}_virus_{i}.jpeg", f"{source}p{i:04d}".encode().ljust(3000)
                )
        packed.writestr("__MACOSX/chest_xray/._train", b"x")
        for name, content in extra:
            packed.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "_PAUSE", 0)
    monkeypatch.setattr(download, "_TIMEOUT", 5)
    with Server(zhanglab_zip()) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(download, "PUBLISHED_COUNTS", COUNTS)


def get(root, server):
    return download_zhanglab(root, url=server.url, progress=False)


def test_a_complete_download_is_not_repeated(tmp_path, server):
    tree = get(tmp_path / "new" / "root", server)
    assert tree == tmp_path / "new" / "root" / "ChestXRay2017" / "chest_xray"
    assert len(index_zhanglab(tmp_path / "new" / "root")) == 8
    assert [path.name for path in (tmp_path / "new" / "root").iterdir()] == ["ChestXRay2017"]
    assert get(str(tmp_path / "new" / "root"), server) == tree
    assert server.asked == [None]


def test_a_cut_connection_is_resumed(tmp_path, server):
    server.cut = 5000
    get(tmp_path, server)
    steps = [f"bytes={start}-" for start in range(5000, len(server.content), 5000)]
    assert server.asked == [None, *steps]


def test_a_later_call_resumes(tmp_path, server):
    (tmp_path / "ChestXRay2017.zip.part").write_bytes(server.content[:7777])
    get(tmp_path, server)
    assert server.asked == ["bytes=7777-"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_server_without_ranges_and_a_part_that_is_whole(tmp_path, server, ranges):
    server.ranges = ranges
    (tmp_path / "ChestXRay2017.zip.part").write_bytes(server.content)
    get(tmp_path, server)
    assert server.asked == [f"bytes={len(server.content)}-"]


def test_a_part_that_is_too_long_is_deleted(tmp_path, server):
    (tmp_path / "ChestXRay2017.zip.part").write_bytes(server.content + b"x")
    get(tmp_path, server)
    assert server.asked == [f"bytes={len(server.content) + 1}-", None]


def test_a_server_that_sends_nothing_is_given_up(tmp_path, server):
    server.cut = 0
    with pytest.raises(
        DatasetError, match=r"cannot download http://127.*the connection was cut.*Run it again to resume"
    ):
        get(tmp_path, server)
    assert len(server.asked) == 5
    server.cut = 20_000
    get(tmp_path, server)


def test_a_server_without_ranges_that_always_cuts_is_given_up(tmp_path, server):
    server.ranges, server.cut = False, 5000
    with pytest.raises(DatasetError, match="the connection was cut"):
        get(tmp_path, server)
    assert len(server.asked) == 6


@pytest.mark.parametrize(
    ("status", "times", "message"), [(404, 1, "404 Not Found. Check the address"), (503, 5, "answers 503")]
)
def test_errors_of_the_server(tmp_path, server, status, times, message):
    server.status = status
    with pytest.raises(DatasetError, match=message):
        get(tmp_path, server)
    assert len(server.asked) == times


def test_an_answer_of_unknown_length(tmp_path, server):
    server.sends_length = False
    with pytest.raises(DatasetError, match="does not specify the length"):
        get(tmp_path, server)


def test_no_server_and_no_web_address(tmp_path, server):
    server.shutdown()
    server.server_close()
    with pytest.raises(DatasetError, match=r"cannot download .*refused.*Run it again"):
        get(tmp_path, server)
    with pytest.raises(DatasetError, match="url='file:///etc/passwd': expected https"):
        fetch_file("file:///etc/passwd", tmp_path / "a")


@pytest.mark.parametrize(
    "moved", ["file:///etc/passwd", "ftp://127.0.0.1/a", "data:text/plain,a", "gopher://a", "FILE:/a"]
)
def test_a_redirect_away_from_the_web_is_refused_at_once(tmp_path, server, moved):
    server.moved = moved
    with pytest.raises(DatasetError, match=f"(redirects to {moved}, refused)|('{moved}' is not allowed)"):
        get(tmp_path, server)
    assert server.asked == []
    assert list(tmp_path.iterdir()) == []


def test_a_redirect_from_https_to_http_is_refused():
    """Without a server, which would need a certificate."""
    asked, handler = urllib.request.Request("https://a/b"), download._WebOnly()
    assert handler.redirect_request(asked, None, 302, "", {}, "https://c/d").full_url == "https://c/d"
    with pytest.raises(DatasetError, match="https://a/b redirects to http://c/d, refused"):
        handler.redirect_request(asked, None, 302, "", {}, "http://c/d")
    asked = urllib.request.Request("http://a/b")
    assert handler.redirect_request(asked, None, 302, "", {}, "https://c/d").full_url == "https://c/d"


def test_no_room(tmp_path, server, monkeypatch):
    monkeypatch.setattr(download.shutil, "disk_usage", lambda folder: type("usage", (), {"free": 1000}))
    with pytest.raises(DatasetError, match=r"has 1,000 bytes free, but needs .* free disk space"):
        get(tmp_path, server)


# the archive is not the complete set


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>sign in</html>", "not a zip archive"),
        (zhanglab_zip()[:-300], "not a zip archive, or damaged"),
        (zhanglab_zip({"train": (3, 2), "test": (2, 0)}), "lacks test/PNEUMONIA"),
        (zhanglab_zip({"train": (2, 2), "test": (2, 1)}), r"it contains .*\(2, 2\).* instead of .*\(3, 2\)"),
        (zhanglab_zip(extra=[("../evil.txt", b"x")]), "dangerous"),
    ],
)
def test_an_archive_that_is_no_complete_set_leaves_no_dataset(tmp_path, server, content, message):
    server.content = content
    with pytest.raises(DatasetError, match=rf"ChestXRay2017\.zip: .*{message}.*Delete it and download again"):
        get(tmp_path / "root", server)
    assert [path.name for path in tmp_path.rglob("*")] == ["root", "ChestXRay2017.zip"]


def test_a_half_unpacked_archive_is_never_a_dataset(tmp_path, server, monkeypatch):
    def stop(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(download, "count_zhanglab", stop)  # all is unpacked, nothing is checked
        with pytest.raises(KeyboardInterrupt):
            get(tmp_path, server)
    assert [path.name for path in tmp_path.iterdir()] == ["ChestXRay2017.zip"]

    # What a killed process leaves is not used, and is replaced.
    (tmp_path / ".ChestXRay2017.partial" / "chest_xray" / "train" / "NORMAL").mkdir(parents=True)
    with pytest.raises(DatasetError, match="no Zhang Lab download"):
        index_zhanglab(tmp_path)
    get(tmp_path, server)
    assert server.asked == [None]
    assert [path.name for path in tmp_path.iterdir()] == ["ChestXRay2017"]


def test_other_images_in_the_folder_are_left_alone(tmp_path, server):
    (tmp_path / "ChestXRay2017").mkdir()
    with pytest.raises(DatasetError, match="exists, but is not the complete set: move it away"):
        get(tmp_path, server)
    for source in ("train", "test"):
        for name, file in (("NORMAL", "IM-0001-0001.jpeg"), ("PNEUMONIA", "person1_virus_1.jpeg")):
            (tmp_path / "chest_xray" / source / name).mkdir(parents=True)
            (tmp_path / "chest_xray" / source / name / file).touch()
    with pytest.raises(DatasetError, match=r"chest_xray contains another part of the set: .*\(1, 1\).* instead of"):
        get(tmp_path, server)
    assert server.asked == []


def test_progress_bars_on_standard_error(tmp_path, server, capsys):
    download_zhanglab(tmp_path / "a", url=server.url)
    out, err = capsys.readouterr()
    assert out == ""
    assert "ChestXRay2017.zip: 100%" in err
    assert "unpacking: 100%" in err


@pytest.mark.slow
@pytest.mark.trains_in_forks
def test_a_download_may_be_killed_at_any_file_operation(tmp_path, server):
    """The dataset is complete or absent at any time, and the next call resumes."""
    server.cut = 9000  # several connections
    moments = count_file_calls(lambda: get(tmp_path / "whole", server))
    asked = len(server.asked)
    died = 0
    for moment in range(1, moments, moments // 20):
        root = tmp_path / str(moment)
        died += kill_at_file_call(moment, lambda root=root: get(root, server)) == -signal.SIGKILL
        part = root / "ChestXRay2017.zip.part"
        have = part.stat().st_size if part.exists() else 0
        if have:
            assert part.read_bytes() == server.content[:have]
        if (root / "ChestXRay2017").exists():
            assert len(index_zhanglab(root)) == 8
        server.asked.clear()
        assert len(index_zhanglab(get(root, server).parent)) == 8
        assert len(server.asked) <= asked
        if 0 < have < len(server.content):
            assert server.asked[0] == f"bytes={have}-"
    assert died >= 18


@pytest.mark.trains_in_forks
def test_a_full_disk_keeps_the_incomplete_download(tmp_path, server):
    def limited():
        limit_files(7000)
        with pytest.raises(DatasetError, match=r"\.zip\.part cannot be written: .*Free disk space, then run it again"):
            get(tmp_path, server)

    assert finish(start(limited)) == 0
    assert (tmp_path / "ChestXRay2017.zip.part").read_bytes() == server.content[:7000]
    get(tmp_path, server)
    assert server.asked == [None, "bytes=7000-"]
