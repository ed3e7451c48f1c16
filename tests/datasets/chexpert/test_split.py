"""CheXpert: the paper's two protocols."""

import random
from collections import Counter

import pytest
from helpers.real_data import DATA, needs
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from anatpaste_aug.datasets import DatasetError, Record, Split, index_chexpert, split_chexpert
from anatpaste_aug.datasets.chexpert.index import DISEASES

ROOT = DATA / "chexpert_layout"


def records(normal, ill, valid=(14, 19)):
    """Records of patients with so many images each: ``ill`` is a list of (patient, findings)."""
    made = [
        Record(f"train/n{p}/{i}.jpg", 0, f"n{p}", "train", view="PA") for p, n in enumerate(normal) for i in range(n)
    ]
    made += [
        Record(f"train/a{i}/{p}.jpg", 1, p, "train", view="PA", findings=found) for i, (p, found) in enumerate(ill)
    ]
    for label, count in enumerate(valid):
        made += [Record(f"valid/{label}-{i}.jpg", label, f"v{label}-{i}", "valid", view="PA") for i in range(count)]
    return made


def many(count, share=0.2, seed=0, own=True):
    chance = random.Random(seed)
    found = [tuple(d for k, d in enumerate(DISEASES) if chance.random() < share / (k + 1)) for _ in range(count)]
    return [(f"i{i // 2}" if own else f"n{i}", some or ("Edema",)) for i, some in enumerate(found)]


def totals(split):
    return [tuple(part.values()) for part in split.counts().values()]


def positives(split):
    return Counter(finding for record in split.test for finding in record.findings if record.label)


def test_paper_protocol():
    split = split_chexpert(records([1] * 700 + [3] * 100, many(3000)))
    assert totals(split) == [(700, 0), (14, 19), (300, 300)]
    assert min(positives(split).values()) >= 50
    assert split.protocol.startswith("paper protocol, by patient, PA views")
    assert "training 700 + 0 of train.csv (the paper: 5466 + 0), test 300 + 300" in split.protocol
    assert f"Edema {positives(split)['Edema']}" in split.protocol


def test_rarest_first_and_an_image_counts_for_each_of_its_diseases():
    ill = [("a", ("Edema", "Consolidation"))] * 3 + [(f"b{i}", ("Consolidation",)) for i in range(400)]
    split = split_chexpert(records([1] * 900, ill), count=60)
    assert positives(split)["Edema"] == 3  # all of them, although none is first in the random order
    assert positives(split)["Consolidation"] == 60


def test_diseases():
    split = split_chexpert(records([1] * 900, many(6000, 0.4)), protocol="diseases")
    assert totals(split)[::2] == [(600, 0), (300, sum(record.label for record in split.test))]
    found = positives(split)
    assert all(found[disease] >= 300 for disease in DISEASES)
    assert len([r for r in split.test if r.label]) < 5 * 300  # images with two diseases count for both
    assert split.protocol.startswith("paper protocol")


def test_a_rare_disease_reduces_the_protocol_of_diseases():
    ill = [(f"i{i}", (DISEASES[i % 2],)) for i in range(800)] + [("r", ("Edema",))]
    split = split_chexpert(records([1] * 900, ill), protocol="diseases")
    assert positives(split) == {"Pleural Effusion": 300, "Cardiomegaly": 300, "Edema": 1}
    assert split.protocol.startswith("reduced protocol (300 normal + 300 of each disease asked for)")
    assert "Consolidation 0, Edema 1, Atelectasis 0" in split.protocol


def test_shrinks_in_proportion():
    split = split_chexpert(records([1] * 100, many(900)))
    assert totals(split) == [(50, 0), (14, 19), (50, 50)]
    assert split.protocol.startswith("reduced protocol (300 normal + 300 abnormal asked for)")
    assert totals(split_chexpert(records([1] * 2000, many(90))))[2] == (90, 90)


def test_normals_of_abnormal_patients_do_not_train():
    ill = many(400, own=False)  # the patients n0 to n399 have an abnormal image too
    split = split_chexpert(records([1] * 1500, ill))
    tested = {record.patient for record in split.test}
    assert {r.patient for r in split.train} == {f"n{i}" for i in range(1500)} - tested


def test_views_and_devices():
    made = [
        Record(f"train/{i}.jpg", i % 2, f"p{i}", "train", view=("PA", "AP")[i // 2 % 2],
               findings=("Edema",) if i % 2 else (("Support Devices",) if i % 8 == 0 else ()))
        for i in range(200)
    ] + records([], [])  # fmt: skip
    split = split_chexpert(made, count=6)
    assert {r.view for r in split.records()} == {"PA"}
    assert totals(split)[0] == (44, 0)
    assert totals(split_chexpert(made, count=6, views="all"))[0] == (94, 0)
    without = split_chexpert(made, count=6, exclude_support_devices=True)
    assert totals(without)[0] == (19, 0)
    assert not any("Support Devices" in r.findings for r in without.records())
    assert "normals without support devices" in without.protocol


def test_patients_of_valid_do_not_train():
    made = records([1] * 100, many(50))
    made.append(Record("valid/x.jpg", 0, "n7", "valid", view="PA"))
    split = split_chexpert(made, count=6)
    assert "n7" not in {record.patient for record in split.train + split.test}


def test_the_draw_is_the_same_in_every_release():
    """A changed list would silently change existing splits, so it needs a new protocol name."""
    ill = [(f"i{i}", (DISEASES[i % 5],)) for i in range(12)]
    split = split_chexpert(records([1] * 14, ill, (1, 1)), seed=3, count=6)
    assert " ".join(record.patient for record in split.test) == "i0 i11 i2 i3 i4 i7 n10 n12 n13 n6 n8 n9"


@pytest.mark.parametrize(
    "made", [[], records([1] * 3, many(5)), records([1] * 9, []), records([1] * 9, many(9), (0, 5))]
)
def test_too_small(made):
    with pytest.raises(DatasetError, match=r"cannot split train \d+ \+ \d+, valid \d+ \+ \d+.*Complete the download"):
        split_chexpert(made)


@pytest.mark.parametrize(
    ("normal", "ill", "remedy", "added"),
    [
        ([50], [("a", ("Edema",))] * 9, "normal images of other patients", records([50, 1], [("a", ("Edema",))] * 9)),
        (
            [50],
            [("n0", ("Edema",))] * 2,
            "abnormal images of patients without normal ones",
            records([50, 1], [("n0", ("Edema",))] * 2 + [("a", ("Edema",))]),
        ),
    ],
)
def test_too_few_patients(normal, ill, remedy, added):
    with pytest.raises(
        DatasetError, match=f"too few patients to keep .* apart. Complete the download, or add {remedy}"
    ):
        split_chexpert(records(normal, ill))
    split_chexpert(added)


# too few images, and the remedy


def apply(remedy):
    """The arguments that the text of a remedy names."""
    named = [part for part in remedy.replace(")", "(").split("(") if "=" in part]
    return dict(part.split("=") for part in named)


VALUES = {'"all"': "all", "False": False, '"overall"': "overall"}


def check_remedy(made, options, *remedies, **more):
    with pytest.raises(DatasetError, match="cannot split train") as caught:
        split_chexpert(made, **options, **more)
    found = {name: VALUES[value] for name, value in apply(str(caught.value)).items()}
    assert all(remedy in str(caught.value) for remedy in remedies)
    assert len(found) == len(remedies)
    split_chexpert(made, **options | found, **more)


def seen_from(made, view):
    return [Record(r.path, r.label, r.patient, r.source, view=view, findings=r.findings) for r in made]


@pytest.mark.parametrize("view", ["AP", None])
def test_the_remedy_is_all_views_if_none_is_pa(view):
    check_remedy(seen_from(records([1] * 30, many(30)), view), {}, '--views all (views="all")')


def test_the_remedy_is_all_views_if_valid_has_no_normal_pa():
    made = [*records([1] * 30, many(30), (0, 5)), Record("valid/x.jpg", 0, "x", "valid", view="AP")]
    check_remedy(made, {"exclude_support_devices": True}, '--views all (views="all")')


def test_the_remedy_is_normals_with_devices_if_there_are_no_others():
    made = [
        Record(r.path, r.label, r.patient, r.source, view="PA", findings=r.findings or ("Support Devices",))
        for r in records([1] * 30, many(30))
    ]
    devices = "eave out --exclude-support-devices (exclude_support_devices=False)"
    check_remedy(made, {"exclude_support_devices": True}, devices)
    check_remedy(seen_from(made, "AP"), {"exclude_support_devices": True}, '--views all (views="all") and', devices)


def test_the_remedy_is_the_overall_protocol_if_diseases_need_too_many_normals():
    ill = [(f"n{i}", ("Edema",)) for i in range(3)]
    check_remedy(records([1] * 30, ill), {"protocol": "diseases"}, 'eave out --per-disease (protocol="overall")')


@pytest.mark.parametrize("wrong", [{"protocol": "table 2"}, {"views": "AP"}, {"count": 5}])
def test_wrong_arguments(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
        split_chexpert(records([1] * 9, many(9)), **wrong)


@hypothesis_settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(1, 5), min_size=4, max_size=40),
    st.lists(st.tuples(st.integers(0, 60), st.sets(st.sampled_from(DISEASES), min_size=1)), min_size=2, max_size=60),
    st.sampled_from(["overall", "diseases"]),
    st.integers(6, 40),
    st.randoms(),
)
def test_split_properties(normal, ill, protocol, count, shuffle: random.Random):
    made = records(normal, [(f"n{patient}", tuple(sorted(found))) for patient, found in ill], (2, 2))
    try:
        split = split_chexpert(made, 1, protocol=protocol, count=count)
    except DatasetError as error:
        assert "too few patients" in str(error)  # noqa: PT017
        return
    shuffle.shuffle(made)
    assert split_chexpert(made, 1, protocol=protocol, count=count) == split
    (train, _), _, (normals, abnormals) = totals(split)
    assert train >= (sum(normal) + 1) // 2
    assert 1 <= normals <= count
    assert abnormals >= 1
    if protocol == "overall":
        assert abnormals <= count


# real radiographs


@needs("chexpert_layout")
def test_real_split(tmp_path):
    index = index_chexpert(ROOT.parent)
    split = split_chexpert(index)
    assert totals(split) == [(35, 0), (5, 19), (35, 35)]
    assert positives(split)["Edema"] == 1
    hashed = split.hashed(index.root)
    hashed.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json") == hashed
    Split.load(tmp_path / "split.json").verify(index.root)
