"""People's maps: read by label, never resized without a word; agreement against slow definitions.

Planted and shuffled content.
"""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import xarray as xr
from PIL import Image
from scipy import stats

import relstats
from relstats import cli
from relstats.errors import ImpossibleAnalysis, InvalidData, UsageError
from relstats.human import map_agreement as agreement
from relstats.inputs import human_map_files
from relstats.study import store

SIZE = (6, 8)


def study_of(n=4, seeds=3, shape=SIZE, seed=1):
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(2, seeds, n, *shape))
    import pandas as pd

    models = pd.DataFrame({"model": ["a", "b"], "pretrain": ["imagenet", "vggface2"]})
    return relstats.study(
        relevance=relstats.relevance_dataset(
            maps, models=models, images=[f"{k:03d}" for k in range(n)]
        )
    )


@pytest.fixture
def path(tmp_path):
    relstats.save_study(study_of(), tmp_path / "s.zarr")
    return tmp_path / "s.zarr"


def human_of(path):
    return store.open_study(path)["human_maps"].to_dataset()


def write(folder, text, name="f.csv"):
    (folder / name).write_text(text)
    return folder / name


# ---- files


def test_npz_by_label_with_missing_maps(path, tmp_path):
    maps = np.random.default_rng(2).random((2, 4, *SIZE))
    maps[1, 2] = np.nan
    ids, order = np.array(["000", "001", "002", "003"]), [2, 0, 3, 1]
    np.savez(
        tmp_path / "m.npz",
        map=maps[:, order],
        participant=np.array(["007", "NA"]),
        image=ids[order],
    )
    found = relstats.add_human_maps(path, tmp_path / "m.npz")
    assert found["n_maps"].values.tolist() == [4, 3]
    group = human_of(path)
    assert group["participant"].values.tolist() == ["007", "NA"]
    np.testing.assert_array_equal(group["map"].sel(image=ids), maps.astype(np.float32))
    store.open_study(path)  # the door lets it through


def test_zarr_and_folders_give_the_same(path, tmp_path):
    maps = np.random.default_rng(2).integers(0, 256, (2, 4, *SIZE)).astype(np.uint8)
    coords = {"participant": ["p", "q"], "image": ["000", "001", "002", "003"]}
    xr.Dataset({"map": (("participant", "image", "y", "x"), maps.astype(float))}, coords).to_zarr(
        tmp_path / "m.zarr", zarr_format=3, consolidated=False
    )
    relstats.add_human_maps(path, tmp_path / "m.zarr")
    expected = human_of(path)["map"].load()
    np.testing.assert_array_equal(expected, maps)
    for p, i in itertools.product(range(2), range(4)):
        folder = tmp_path / "maps" / "pq"[p]
        folder.mkdir(parents=True, exist_ok=True)
        if i == 1:
            np.save(folder / "001.npy", maps[p, i])
        else:
            Image.fromarray(maps[p, i]).save(folder / f"{i:03d}.png")
    relstats.add_human_maps(path, tmp_path / "maps", force=True)
    xr.testing.assert_equal(human_of(path)["map"].load(), expected)
    flat = tmp_path / "flat"
    flat.mkdir()
    for i in range(4):
        np.save(flat / f"{i:03d}.npy", maps[0, i])
    found = relstats.add_human_maps(path, flat, force=True)
    assert found["participant"].values.tolist() == ["group"]


def test_fixations_by_definition(path, tmp_path):
    rows = [
        "participant,image,x,y,duration",
        "p,000,0,0,100",
        "p,000,15,5,300",
        "p,001,3,3,1",
        "p,002,1,1,1",
        "p,003,50,1,1",
        "q,003,7,2,5",
    ]
    found = relstats.add_human_maps(
        path, write(tmp_path, "\n".join(rows)), bandwidth=3.0, fixation_size=(12, 16)
    )
    assert found.attrs["n_fixations_outside"] == 1
    assert found["n_maps"].values.tolist() == [3, 1]
    expected, (height, width) = np.zeros(SIZE), SIZE
    for x, y, share in ((0, 0, 0.25), (15, 5, 0.75)):
        cx, cy = (x + 0.5) / 2 - 0.5, (y + 0.5) / 2 - 0.5
        bump = np.array(
            [
                [np.exp(-((j - cx) ** 2 + (i - cy) ** 2) / (2 * 1.5**2)) for j in range(width)]
                for i in range(height)
            ]
        )
        expected += share * bump / bump.sum()
    np.testing.assert_allclose(
        human_of(path)["map"].sel(participant="p", image="000"), expected, rtol=1e-5
    )
    assert np.isnan(human_of(path)["map"].sel(participant="p", image="003")).all()


def test_a_density_adds_up_to_one_at_the_edge_too():
    for x in (0.0, 7.4, 3.0):
        found = human_map_files.fixation_density(np.array([[x, 2.0, 1.0]]), 4.0, (1.0, 1.0), SIZE)
        assert found.sum() == pytest.approx(1)
        assert np.unravel_index(found.argmax(), SIZE) == (2, round(x))
    narrow = human_map_files.fixation_density(np.array([[2.4, 1.0, 1.0]]), 1e-3, (1.0, 1.0), SIZE)
    assert (narrow.sum(), narrow[1, 2]) == (1, 1)


def test_another_size_is_an_error_unless_resizing_is_asked_for(path, tmp_path):
    maps = np.random.default_rng(3).random((1, 4, 12, 16))
    np.savez(
        tmp_path / "m.npz",
        map=maps,
        participant=np.array(["p"]),
        image=np.array(["000", "001", "002", "003"]),
    )
    with pytest.raises(InvalidData, match=r"is \(12, 16\) pixels, those of the study \(6, 8\)"):
        relstats.add_human_maps(path, tmp_path / "m.npz")
    assert not (path / "human_maps").exists()
    found = relstats.add_human_maps(path, tmp_path / "m.npz", resize=True)
    expected = maps.reshape(1, 4, 6, 2, 8, 2).mean(axis=(3, 5))
    np.testing.assert_allclose(human_of(path)["map"], expected, rtol=1e-6)
    assert found.attrs["resize"] == "True"
    odd = human_map_files.resized(maps[0, 0], (5, 3))
    assert odd.mean() == pytest.approx(maps[0, 0].mean())


def test_images_that_do_not_match(path, tmp_path):
    rows = ["participant,image,x,y", "p,0,1,1", "p,001,1,1", "p,002,1,1", "p,003,2,2"]
    source = write(tmp_path, "\n".join(rows))
    with pytest.raises(
        InvalidData, match=r"1 only in f.csv \('0'\), 1 only in the study \('000'\)"
    ):
        relstats.add_human_maps(path, source, bandwidth=2)
    found = relstats.add_human_maps(path, source, bandwidth=2, align="inner")
    assert (
        found.attrs["n_images_dropped"],
        found.attrs["n_images_without_maps"],
        found["n_images"].item(),
    ) == (
        1,
        1,
        3,
    )
    result = relstats.human_maps(store.open_study(path), rng=np.random.default_rng(1))
    assert result["image"].values.tolist() == ["001", "002", "003"]


def test_other_maps_of_the_same_name_are_never_passed_over(path, tmp_path):
    def saved(values):
        np.savez(
            tmp_path / "h.npz",
            map=values,
            participant=np.array(["p"]),
            image=np.array([f"{i:03d}" for i in range(4)]),
        )
        return tmp_path / "h.npz"

    values = np.random.default_rng(1).random(
        (1, 4, *store.open_study(path)["relevance/relevance"].shape[-2:])
    )
    relstats.add_human_maps(path, saved(values))
    relstats.add_human_maps(path, saved(values))
    with pytest.raises(UsageError, match="--force"):
        relstats.add_human_maps(path, saved(values[:, ::-1]))
    relstats.add_human_maps(path, saved(values[:, ::-1]), force=True)
    np.testing.assert_allclose(
        store.open_study(path)["human_maps/map"].values, values[:, ::-1], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("text", "options", "error", "message"),
    [
        ("participant,image,x\np,000,1", {"bandwidth": 1}, InvalidData, r"lacks column\(s\) y"),
        ("participant,image,x,y\n", {"bandwidth": 1}, InvalidData, r"1 row\(s\): a header"),
        (
            "participant,image,x,y,x\np,000,1,1,2",
            {"bandwidth": 1},
            InvalidData,
            "columns of f.csv: 1 label",
        ),
        (
            "participant,image,x,y\np,000,1,1,2",
            {"bandwidth": 1},
            InvalidData,
            "row 2: 5 cells, but 4 columns",
        ),
        ("participant,image,x,y\n,000,1,1", {"bandwidth": 1}, InvalidData, "row 2: no participant"),
        (
            "participant,image,x,y\np,000,1,1\np,,1,1",
            {"bandwidth": 1},
            InvalidData,
            "row 3: no image",
        ),
        (
            "participant,image,x,y\np,000,a,1",
            {"bandwidth": 1},
            InvalidData,
            "1 value.s. of 'x' are no coordinates .first: 'a' in row 2",
        ),
        (
            "participant,image,x,y,duration\np,000,1,1,0",
            {"bandwidth": 1},
            InvalidData,
            "no durations",
        ),
        (
            "participant,image,x,y\np,000,99,99",
            {"bandwidth": 1},
            InvalidData,
            "no fixation lies on an image",
        ),
        ("participant,image,x,y\np,000,1,1", {}, UsageError, "give --bandwidth"),
        ("participant,image,x,y\np,000,1,1", {"bandwidth": 0}, UsageError, "bandwidth is 0"),
        (
            "participant,image,x,y\np,000,1,1",
            {"bandwidth": 1, "align": "outer"},
            UsageError,
            "align is 'outer'",
        ),
    ],
)
def test_bad_fixations(path, tmp_path, text, options, error, message):
    with pytest.raises(error, match=message):
        relstats.add_human_maps(path, write(tmp_path, text), **options)


def test_bad_arrays(path, tmp_path):
    good = {
        "map": np.random.default_rng(1).random((1, 4, *SIZE)),
        "participant": np.array(["p"]),
        "image": np.array(["000", "001", "002", "003"]),
    }
    part, infinite = good["map"].copy(), good["map"].copy()
    part[0, 1, 0, 0], infinite[0, 1, 0, 0] = np.nan, np.inf
    cases = [
        ({"map": part}, "1 pixel.s. are NaN or infinite"),
        ({"map": infinite}, "1 pixel.s. are NaN or infinite"),
        ({"image": np.arange(4)}, "'007' is not 7"),
        ({"participant": np.array(["p", "q"])}, "Give one id for each"),
        ({"map": good["map"][0]}, "give map"),
        ({"map": good["map"].astype(complex)}, "is no map"),
        ({"image": np.array(["000", "000", "001", "002"])}, "there twice"),
    ]
    for changed, message in cases:
        np.savez(tmp_path / "m.npz", **(good | changed))
        with pytest.raises(InvalidData, match=message):
            relstats.add_human_maps(path, tmp_path / "m.npz")
    with pytest.raises(UsageError, match="no such file"):
        relstats.add_human_maps(path, tmp_path / "none.npz")
    np.savez(tmp_path / "m.npz", **good)
    with pytest.raises(UsageError, match="are of fixations"):
        relstats.add_human_maps(path, tmp_path / "m.npz", bandwidth=2)
    relstats.add_human_maps(path, tmp_path / "m.npz")
    np.savez(tmp_path / "m.npz", **(good | {"participant": np.array(["q"])}))
    with pytest.raises(UsageError, match="with other settings"):
        relstats.add_human_maps(path, tmp_path / "m.npz")


def test_bad_folders(path, tmp_path):
    folder = tmp_path / "maps"
    folder.mkdir()
    with pytest.raises(UsageError, match=r"holds no \.png"):
        relstats.add_human_maps(path, folder)
    np.save(folder / "000.npy", np.ones(SIZE))
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(folder / "000.png")
    with pytest.raises(InvalidData, match="two maps of participant 'group' and image '000'"):
        relstats.add_human_maps(path, folder)
    (folder / "000.png").unlink()
    (folder / "p").mkdir()
    np.save(folder / "p" / "001.npy", np.ones(SIZE))
    with pytest.raises(InvalidData, match="both in folders of participants and outside"):
        relstats.add_human_maps(path, folder)
    with pytest.raises(UsageError, match="maps come from"):
        relstats.add_human_maps(path, write(tmp_path, "x", "m.txt"))


# ---- agreement, slowly


def slow_overlap(a, b, fraction, draws=4000, seed=1):
    """Ties are broken at random, on either side."""
    rng, k = np.random.default_rng(seed), round(fraction * a.size)
    tops = [
        [set(np.lexsort((rng.random(v.size), -v))[:k].tolist()) for _ in range(draws)]
        for v in (a, b)
    ]
    return np.mean([len(x & y) / k for x, y in zip(*tops, strict=True)])


def test_overlap_is_the_mean_over_random_tie_breaks():
    rng = np.random.default_rng(4)
    a, b = rng.integers(0, 3, 40).astype(float), rng.integers(0, 3, 40).astype(float)
    one, other = (agreement.vectors(v[np.newaxis], "overlap", 0.25) for v in (a, b))
    assert (one @ other.T).item() == pytest.approx(slow_overlap(a, b, 0.25), abs=0.01)
    a, b = rng.random(40), rng.random(40)
    one, other = (agreement.vectors(v[np.newaxis], "overlap", 0.25) for v in (a, b))
    assert (one @ other.T).item() == pytest.approx(
        len(set(np.argsort(a)[-10:].tolist()) & set(np.argsort(b)[-10:].tolist())) / 10
    )
    assert np.isnan(agreement.vectors(np.ones((1, 5)), "overlap", 0.2)).all()
    assert np.isnan(agreement.vectors(np.ones((1, 5)), "spearman", 0.2)).all()


@pytest.mark.parametrize("measure", ["spearman", "overlap"])
def test_agreement_and_swaps_image_by_image(measure):
    rng = np.random.default_rng(5)
    networks, people = rng.random((3, 2, 20)), rng.random((3, 4, 20))
    people[1, 2] = np.nan
    found = agreement.agree(
        lambda: ((n, agreement.mean_maps(p)) for n, p in zip(networks, people, strict=True)),
        3,
        measure,
        0.2,
    )

    def agreed(a, b):
        if measure == "spearman":
            return stats.spearmanr(a, b).statistic
        return len(set(np.argsort(a)[-4:].tolist()) & set(np.argsort(b)[-4:].tolist())) / 4

    def mean_map(image, without):
        kept = [
            p / p.sum()
            for k, p in enumerate(people[image])
            if not np.isnan(p).any() and k != without
        ]
        return np.mean(kept, axis=0)

    for m, i, p in np.ndindex(2, 3, 5):
        human = [mean_map(image, p - 1) for image in range(3)]
        others = [k for k in range(3) if k != i]
        np.testing.assert_allclose(found.own[m, i, p], agreed(networks[i, m], human[i]), atol=1e-12)
        np.testing.assert_allclose(
            found.swapped[m, i, p],
            np.mean([agreed(networks[i, m], human[k]) for k in others]),
            atol=1e-12,
        )
        np.testing.assert_allclose(
            found.swapped_as_other[m, i, p],
            np.mean([agreed(networks[k, m], human[i]) for k in others]),
            atol=1e-12,
        )
    np.testing.assert_allclose(
        found.above.mean(axis=1), (found.own - found.swapped).mean(axis=1), atol=1e-12
    )


def test_images_above_the_swap_count_as_deleting_each_says():
    """Deviations of what each image adds are those of delete-one pseudo-values, but for (n - 1) /
    (n - 2) of a mean over pairs.
    """
    rng = np.random.default_rng(9)
    networks, people = rng.random((7, 1, 20)), rng.random((7, 1, 20))

    def agreed(kept):
        both = [(networks[i], agreement.mean_maps(people[i])[:1]) for i in kept]
        return agreement.agree(lambda: iter(both), len(kept), "spearman", 0.1)

    whole = agreed(range(7))
    swapped = np.array(
        [
            7 * whole.swapped.mean() - 6 * agreed(np.delete(np.arange(7), i)).swapped.mean()
            for i in range(7)
        ]
    )
    adds = (whole.own - whole.above)[0, :, 0]
    np.testing.assert_allclose(swapped - swapped.mean(), 6 / 5 * (adds - adds.mean()), atol=1e-12)


def test_deleting_a_person_breaks_no_ties():
    people = np.random.default_rng(1).random((5, 40))
    people[1:, :20] = 0.3  # without the first, these pixels are alike
    assert len(np.unique(agreement.mean_maps(people)[1, :20])) == 1


def test_split_half_all_splits_and_correction():
    people = np.random.default_rng(6).random((4, 30))
    people /= people.sum(axis=1, keepdims=True)
    expected = np.mean(
        [
            stats.spearmanr(
                people[[0, k]].mean(axis=0), np.delete(people, [0, k], axis=0).mean(axis=0)
            ).statistic
            for k in (1, 2, 3)
        ]
    )
    found = agreement.split_half(people, "spearman", 0.1, 3, np.random.default_rng(1))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    drawn = agreement.split_half(people, "spearman", 0.1, 2, np.random.default_rng(1))
    assert drawn != pytest.approx(expected, rel=1e-6)
    assert agreement.spearman_brown(found) == pytest.approx(2 * found / (1 + found))
    odd = agreement.split_half(people[:3], "spearman", 0.1, 3, np.random.default_rng(1))
    by_hand = np.mean(
        [
            stats.spearmanr(people[k], np.delete(people[:3], k, axis=0).mean(axis=0)).statistic
            for k in range(3)
        ]
    )
    np.testing.assert_allclose(odd, by_hand, rtol=1e-12)
    assert np.isnan(agreement.split_half(people[:1], "spearman", 0.1, 3, np.random.default_rng(1)))


def test_spearman_brown_gives_back_a_planted_reliability():
    """Maps are a truth and noise: the mean of P people has reliability P s / (P s + 1), which
    halves, corrected, must give.
    """
    rng, signal = np.random.default_rng(7), 0.5
    truth = rng.normal(size=4000) * np.sqrt(signal)
    people = truth + rng.normal(size=(10, 4000)) + 20
    half = agreement.split_half(people, "spearman", 0.1, 50, rng)
    assert agreement.spearman_brown(half) == pytest.approx(
        10 * signal / (10 * signal + 1), abs=0.02
    )


def test_people_pseudo_values_of_a_mean_are_the_people():
    y = np.random.default_rng(8).normal(size=6)
    values = np.array([y.mean(), *[np.delete(y, k).mean() for k in range(6)]])
    np.testing.assert_allclose(agreement.people_pseudo_values(values), y, rtol=1e-12)


# ---- a study


def planted(strength, *, n=30, people=6, seeds=4, centre=2.0, seed=1, sizes=(10, 10)):
    """All maps share a centre.

    Content of an image is in people's maps, and in networks' of level a `strength[0]`, of b
    `strength[1]`.
    """
    rng = np.random.default_rng(seed)
    bump = np.exp(-((np.indices(sizes) - 4.5) ** 2).sum(axis=0) / 8) * centre
    content = rng.random((n, *sizes))
    maps = [[bump + s * content + rng.random((n, *sizes)) for _ in range(seeds)] for s in strength]
    import pandas as pd

    models = pd.DataFrame({"model": ["a", "b"], "pretrain": ["imagenet", "vggface2"]})
    ids = [f"{k:03d}" for k in range(n)]
    study = relstats.study(
        relevance=relstats.relevance_dataset(np.array(maps), models=models, images=ids)
    )
    human = xr.Dataset(
        {
            "map": (
                ("participant", "image", "y", "x"),
                bump + content + rng.random((people, n, *sizes)),
            )
        },
        {"participant": [f"p{k}" for k in range(people)], "image": ids},
    )
    return study.assign(human_maps=xr.DataTree(human))


def compared(study, **options):
    return relstats.human_maps(
        study, **({"axis": "pretrain", "rng": np.random.default_rng(1)} | options)
    )


@pytest.mark.parametrize("measure", ["spearman", "overlap"])
def test_planted_content_is_found_and_a_shared_centre_is_not(measure):
    result = compared(planted((1.0, 0.0)), measure=measure)
    above = result.sel(effect="above_swapped")
    assert above["level_mean"].sel(level="imagenet") > 0.05
    assert above["level_p_value"].sel(level="imagenet") < 0.01
    assert abs(above["level_mean"].sel(level="vggface2")) < 0.02
    assert above["level_p_value"].sel(level="vggface2") > 0.01
    assert result["level_mean"].sel(effect="agreement", level="vggface2") > 0.2
    assert above["estimate"].item() > 0
    assert above["p_value"].item() < 0.001
    turned = compared(planted((0.0, 1.0)), measure=measure).sel(effect="above_swapped")
    assert turned["estimate"].item() < 0
    assert (
        result["split_half"].item()
        > result["level_mean"].sel(effect="agreement", level="vggface2").item()
    )
    assert np.isnan(result["split_half_corrected"].item()) == (measure == "overlap")
    assert result["random"].values.ravel().tolist() == ["images, participants, seeds"] * 2


def test_results_do_not_depend_on_order_or_scale_and_do_on_labels():
    study = planted((1.0, 0.3))
    human = study["human_maps"].to_dataset()
    found = compared(study)
    other = human.isel(
        image=np.random.default_rng(3).permutation(30), participant=[4, 2, 0, 1, 5, 3]
    )
    for changed in (other, human.assign(map=human["map"] * 2.0**20)):
        again = compared(study.assign(human_maps=xr.DataTree(changed)))
        np.testing.assert_allclose(again["level_mean"], found["level_mean"], rtol=1e-10)
        np.testing.assert_allclose(again["p_value"], found["p_value"], rtol=1e-6)
        assert again["image"].values.tolist() == sorted(human["image"].values)
    ids = human["image"].values
    swapped = human.assign_coords(image=ids[[1, 0, *range(2, 30)]])
    assert (
        abs(
            compared(study.assign(human_maps=xr.DataTree(swapped)))["level_mean"]
            - found["level_mean"]
        ).max()
        > 1e-3
    )
    ticks = compared(
        study.assign(
            relevance=xr.DataTree(
                study["relevance"].to_dataset().isel(seed=[2, 0, 1, 3], model=[1, 0])
            )
        )
    )
    np.testing.assert_allclose(ticks["estimate"], found["estimate"], rtol=1e-10)


def test_missing_and_constant_maps_are_left_out_and_counted():
    study = planted((1.0, 0.3), n=12)
    human, maps = study["human_maps"].to_dataset(), study["relevance"].to_dataset().copy(deep=True)
    values = human["map"].values.copy()
    values[0, :6], values[1, 7], values[1:, 3] = np.nan, 2.0, np.nan
    values[np.arange(len(values)) != 1, 8] = np.nan  # one map
    maps["relevance"][0, 1, 5] = -1.0  # nothing above zero
    changed = study.assign(
        human_maps=xr.DataTree(human.assign(map=human["map"].copy(data=values))),
        relevance=xr.DataTree(maps),
    )
    result = compared(changed)
    assert "003" not in result["image"].values
    assert not {"005", "008"} & set(result["image"].values.tolist())
    assert result["n_images"].item() == 9
    assert result["n_maps"].sel(image="007").item() == 5
    text = " ".join(result.attrs["warnings"])
    assert "1 map(s) of people left out: constant" in text
    assert "2 image(s) left out: fewer than 2 map(s) of people" in text
    assert "1 image(s) left out: a network has no positive relevance there" in text


def test_one_map_for_all_people():
    study = planted((1.0, 0.3), people=1)
    result = compared(study)
    assert result["random"].values.ravel().tolist() == ["images, seeds"] * 2
    assert np.isnan(result["split_half"].item())
    assert "one map for all people" in " ".join(result.attrs["warnings"])


def test_one_network_of_a_level():
    study = planted((1.0, 0.3), seeds=1, n=8)
    with pytest.raises(ImpossibleAnalysis, match="has one network"):
        compared(study)
    assert (
        "these networks"
        in compared(study, random=["images", "participants"])["random"].values[0, 0]
    )
    assert "a has one network" in " ".join(compared(study, axis=None).attrs["warnings"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"measure": "iou"}, "measure is 'iou'"),
        ({"ranking": "top"}, "ranking is"),
        ({"random": "seeds"}, "random is"),
        ({"fraction": 0}, "fraction is 0"),
        ({"confidence": 95}, "confidence is 95"),
        ({"n_splits": 0}, "n_splits is 0"),
        ({"nan": "drop"}, "nan is"),
        ({"align": "left"}, "align is"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(UsageError, match=message):
        compared(planted((1, 1), n=4), **options)


def test_bad_groups():
    study = planted((1.0, 0.3), n=5)
    human, maps = study["human_maps"].to_dataset(), study["relevance"].to_dataset()
    with pytest.raises(UsageError, match=r"needs /human_maps; this study has .*add human-maps"):
        compared(study.drop_nodes("human_maps"))
    with pytest.raises(
        InvalidData, match=r"maps of networks are \(10, 10\) and maps of people \(9, 10\)"
    ):
        compared(study.assign(human_maps=xr.DataTree(human.isel(y=slice(1, None)))))
    with pytest.raises(InvalidData, match="1 only in /relevance"):
        compared(study.assign(human_maps=xr.DataTree(human.isel(image=slice(1, None)))))
    assert (
        compared(
            study.assign(human_maps=xr.DataTree(human.isel(image=slice(1, None)))), align="inner"
        )["n_images"].item()
        == 4
    )
    broken = human["map"].copy(deep=True)
    broken[0, 0, 0, 0] = np.nan
    with pytest.raises(InvalidData, match="'p0' and image '000' is NaN in part"):
        compared(study.assign(human_maps=xr.DataTree(human.assign(map=broken))))
    holes = maps.copy(deep=True)
    holes["relevance"][0, 0, 2, 0, 0] = np.nan
    with pytest.raises(InvalidData, match=r"NaN in 1 cell\(s\)"):
        compared(study.assign(relevance=xr.DataTree(holes)))
    assert compared(study.assign(relevance=xr.DataTree(holes)), nan="omit")["n_images"].item() == 4


def run(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["relstats", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def test_commands(tmp_path, path, monkeypatch, capsys):
    rng = np.random.default_rng(1)
    rows = ["participant,image,x,y"] + [
        f"p{p},{i:03d},{rng.random() * 7:.1f},{rng.random() * 5:.1f}"
        for p in range(4)
        for i in range(4)
        for _ in range(3)
    ]
    source = write(tmp_path, "\n".join(rows))
    assert run(monkeypatch, "add", "human-maps", path, source) == 2
    assert "--bandwidth" in capsys.readouterr().err
    assert (
        run(
            monkeypatch,
            "add",
            "human-maps",
            path,
            source,
            "--bandwidth",
            "1.5",
            "--fixation-size",
            "6x8",
        )
        == 0
    )
    assert "p3           4" in capsys.readouterr().out
    assert (
        run(
            monkeypatch,
            "add",
            "human-maps",
            path,
            source,
            "--bandwidth",
            "1",
            "--fixation-size",
            "6by8",
        )
        == 2
    )
    capsys.readouterr()
    assert (
        run(
            monkeypatch,
            "human-maps",
            path,
            "--axis",
            "pretrain",
            "--random",
            "images,seeds",
            "--json",
        )
        == 0
    )
    printed = json.loads(capsys.readouterr().out)
    assert printed["coords"]["effect"]["data"] == ["agreement", "above_swapped"]
    saved = store.open_study(path)["results/human_maps_pretrain"].to_dataset()
    np.testing.assert_allclose(saved["estimate"], printed["variables"]["estimate"]["data"])
    assert run(monkeypatch, "human-maps", path) == 0
    shown = capsys.readouterr()
    assert "above_swapped" in shown.out
    assert "split half" in shown.out
