"""What is drawn, and said in words, is what the result holds: artists are read back."""

import numpy as np
import pytest
import xarray as xr
from plot_inputs import compared, result, rng, simulated, study

from relstats import plots
from relstats.plots import (
    canvas,
    compare,
    correspondence,
    fractions,
    human,
    maps,
    parts,
    quality,
    rdms,
    regions,
    shared,
    stability,
    sufficiency,
)
from relstats.plots import differences as pixelwise
from relstats.plots.words import interval
from relstats.results.text import number

pytest.importorskip("matplotlib")


def marked(figure, gid):
    return figure.findobj(lambda artist: artist.get_gid() == gid)


def xs(figure, gid):
    return [np.asarray(artist.get_xdata()).tolist() for artist in marked(figure, gid)]


def points(figure, gid):
    return [v for values in xs(figure, gid) for v in values]


def images(axes):
    return [np.ma.filled(image.get_array(), np.nan) for image in axes.get_images()]


def test_the_matrix_has_maps_from_in_rows_and_tested_on_in_columns() -> None:
    found = compared()
    axes = compare.matrix(found).axes[0]
    np.testing.assert_array_equal(
        images(axes)[0], found["cell_mean"].transpose("source_level", "target_level").values
    )
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("maps from", "tested on")
    assert [t.get_text() for t in axes.get_yticklabels()] == ["imagenet", "vggface2"]
    cell = next(t for t in axes.texts if t.get_position() == (1, 0))
    one = found.sel(source_level="imagenet", target_level="vggface2")
    assert cell.get_text().split("\n")[0] == number(one["cell_mean"].item())
    told = f"imagenet on vggface2 {interval(one['cell_mean'].item(), one['cell_ci'].values)}"
    assert told in compare.matrix_alt(found)


def test_cells_without_a_value_are_hatched_not_coloured() -> None:
    found = compared(study=simulated(seeds=1))
    axes = compare.matrix(found).axes[0]
    assert np.isnan(images(axes)[0].diagonal()).all()
    assert [p.get_hatch() for p in axes.patches] == ["///", "///"]


@pytest.mark.parametrize("name", ["compare", "three"])
def test_effects_are_drawn_with_their_intervals(name) -> None:
    found = result(name)
    figure = compare.effects(found)
    order = [(c, e) for e in found["effect"].values for c in found["contrast"].values]
    rows = [found.sel(contrast=c, effect=e) for c, e in order]
    assert points(figure, "estimate") == [row["estimate"].item() for row in rows]
    assert xs(figure, "interval") == [
        row["ci"].values.tolist() for row in rows if np.isfinite(row["ci"]).all()
    ]
    alt = compare.effects_alt(found)
    assert all(
        f"{c} {e} {interval(r['estimate'].item(), r['ci'].values)}" in alt
        for (c, e), r in zip(order, rows, strict=True)
    )


def test_directions_are_both_cells_and_their_difference() -> None:
    found = result("three")
    figure = compare.directions(found)
    pairs = [c.split("|") for c in found["contrast"].values]
    cells = found["cell_mean"]
    assert points(figure, "a to b") == [
        cells.sel(source_level=a, target_level=b).item() for a, b in pairs
    ]
    assert points(figure, "b to a") == [
        cells.sel(source_level=b, target_level=a).item() for a, b in pairs
    ]
    assert points(figure, "estimate") == found["estimate"].sel(effect="asymmetry").values.tolist()


def test_curves_are_cells_at_each_fraction_between_their_controls() -> None:
    found = compared()
    panels = fractions.curves(found).axes
    for axes, source in zip(panels, found["source_level"].values, strict=True):
        lines = {line.get_label(): line.get_ydata() for line in axes.get_lines()}
        for target in found["target_level"].values:
            one = found["cell_mean_by_fraction"].sel(source_level=source, target_level=target)
            np.testing.assert_array_equal(lines[f"tested on {target}"], one.values)
        np.testing.assert_array_equal(lines["control masks"], found["floor"].values)
        assert set(lines["whole images"]) == {found["ceiling"].item()}
        assert axes.get_title(loc="left") == f"maps from {source}"


def test_no_two_levels_differ_by_colour_alone() -> None:
    looks = [(s["color"], s["marker"], s["linestyle"]) for s in map(canvas.level_style, range(42))]
    assert len({look[1:] for look in looks[:5]}) == 5
    assert len(set(looks)) == 42


def test_networks_are_their_scores() -> None:
    found = compared()
    figure = compare.networks(found, 0)
    for role in ("source", "target", "specificity"):
        for k, level in enumerate(("imagenet", "vggface2")):
            drawn = [v for line in marked(figure, f"{role} {k}") for v in line.get_ydata()]
            assert (
                drawn
                == found[f"{role}_score"]
                .values[0, found["network_pretrain"].values == level]
                .tolist()
            )
    effects = found.sel(effect=["source_effect", "target_effect", "specificity"])[
        "estimate"
    ].values[0]
    assert points(figure, "estimate") == effects.tolist()


def test_networks_of_a_symmetric_measure_have_one_score() -> None:
    found = compared(measure="spearman")
    figure = compare.networks(found, 0)
    drawn = [
        v for k in range(2) for line in marked(figure, f"specificity {k}") for v in line.get_ydata()
    ]
    assert sorted(drawn) == sorted(found["specificity_score"].values[0].tolist())
    assert points(figure, "estimate") == [found["estimate"].sel(effect="specificity").values[0]]


def test_shared_sizes_stand_beside_what_chance_gives() -> None:
    found = result("shared")
    figure = shared.sizes(found)
    np.testing.assert_allclose(
        points(figure, "estimate"), 100 * found["estimate"].values, rtol=1e-12
    )
    for k in range(found.sizes["null"]):
        np.testing.assert_allclose(
            points(figure, f"expected {k}"), 100 * found["expected"].values[:, k], rtol=1e-12
        )


def test_shared_pixels_are_counts_on_the_scale_of_the_expected_count() -> None:
    found = result("shared")
    panels = np.reshape(shared.pixels(found, study()["images"].to_dataset()).axes[:15], (3, 5))
    for j in range(4):
        np.testing.assert_array_equal(images(panels[0, j])[0], found["count"].values[j])
        assert panels[0, j].get_images()[0].get_clim() == (0, 6)
        for row, name in ((1, "core"), (2, "beyond_chance")):
            np.testing.assert_array_equal(
                images(panels[row, j])[-1][..., 3] > 0, found[name].values[j]
            )
    np.testing.assert_array_equal(images(panels[0, 4])[0], found["expected_count"].values)
    grey = study()["images"]["pixels"].values[0].mean(axis=-1) / 255
    np.testing.assert_allclose(images(panels[1, 0])[0], grey * 0.65 + 0.35, rtol=1e-12)


def test_agreement_of_networks_stands_beside_that_of_other_images() -> None:
    found = result("shared")
    figure = shared.networks(found)
    assert points(figure, "agreement") == found["agreement"].values.tolist()
    assert points(figure, "swapped") == found["agreement_swapped"].values.tolist()


@pytest.mark.parametrize(("name", "chance"), [("regions", [1.0]), ("masses", [0.25, 0.75])])
def test_regions_are_drawn_with_chance_and_every_network(name, chance) -> None:
    found = result(name)
    figure = regions.means(found)
    assert (
        points(figure, "estimate")
        == found["level_mean"].transpose("region", "level").values.ravel().tolist()
    )
    assert (
        xs(figure, "interval")
        == found["level_ci"].transpose("region", "level", "bound").values.reshape(-1, 2).tolist()
    )
    assert sorted(set(points(figure, "chance"))) == chance
    assert sorted(points(figure, "points")) == sorted(
        found["network_score"].values.ravel().tolist()
    )


def test_stability_has_agreement_and_the_seeds_needed() -> None:
    found = result("stability")
    figure = stability.stability(found)
    assert points(figure, "estimate") == [*found["estimate"].values, *found["seeds_needed"].values]
    assert points(figure, "swapped") == found["swapped"].values.tolist()
    endless = found.assign(seeds_needed=found["seeds_needed"] * np.inf)
    assert "no number suffices" in [
        t.get_text() for t in stability.stability(endless).axes[1].texts
    ]


def test_models_stand_before_the_noise_ceiling() -> None:
    found = result("rsa")
    figure = human.models(found)
    assert points(figure, "estimate") == found["estimate"].values.tolist()
    assert sorted(points(figure, "points")) == sorted(found["agreement"].values.ravel().tolist())
    band = marked(figure, "ceiling")[0]
    np.testing.assert_allclose(
        [band.get_x(), band.get_x() + band.get_width()], found["noise_ceiling"].values, rtol=1e-12
    )
    unknown = found.assign(noise_ceiling=found["noise_ceiling"] * np.nan)
    assert not marked(human.models(unknown), "ceiling")
    assert "No noise ceiling." in human.models_alt(unknown)


def test_rdms_are_symmetric_in_one_order_whatever_the_order_of_pairs() -> None:
    found = result("rdm")
    square = images(rdms.rdms(found).axes[0])[0]
    np.testing.assert_array_equal(square, square.T)
    first = found["dissimilarity"].values[0, 0]
    np.testing.assert_array_equal(square[np.triu_indices(12, 1)], first)
    shuffled = found.isel(pair=rng().permutation(found.sizes["pair"]))
    np.testing.assert_array_equal(images(rdms.rdms(shuffled).axes[0])[0], square)


def test_points_are_where_the_result_has_them() -> None:
    found = result("rdm")
    figure = rdms.points(found)
    places = found["points"].values
    drawn = [np.column_stack(line.get_data()) for line in marked(figure, "points")]
    np.testing.assert_array_equal(drawn, places)
    pictures = rdms.points(found, study()["images"].to_dataset())
    sheet = marked(pictures, "pictures")[0]
    left, right, bottom, top = sheet.get_extent()
    low, high = places[0].min(axis=0), places[0].max(axis=0)
    assert left < low[0] < high[0] < right
    assert bottom < low[1] < high[1] < top
    assert abs((left + right) / 2 - (low[0] + high[0]) / 2) < 0.05 * (high[0] - low[0])


def test_maps_lie_over_their_images_on_a_scale_about_zero() -> None:
    group = study()["relevance"].to_dataset()
    figure = maps.overlays(group, study()["images"].to_dataset(), ["img00003"])
    panel = figure.axes[1]
    own = group["relevance"].sel(image="img00003").isel(model=0, seed=0).values.astype(float)
    np.testing.assert_allclose(images(panel)[-1], own, rtol=1e-6)
    low, high = panel.get_images()[-1].get_clim()
    assert low == -high == -parts.scale_end(own)
    assert panel.get_images()[-1].cmap.name == "relevance"
    assert f"img00003 by imagenet-gender seed 0 ±{number(high)}" in maps.overlays_alt(
        group, ["img00003"]
    )
    grey = study()["images"]["pixels"].sel(image="img00003").values.mean(axis=-1) / 255
    np.testing.assert_allclose(images(figure.axes[0])[0], grey, rtol=1e-12)


def test_relevance_is_clear_at_zero_and_blue_below() -> None:
    colours = canvas.diverging()(np.array([0.0, 0.5, 1.0]))
    assert colours[1, 3] == 0
    assert colours[0, 2] > colours[0, 0]
    assert colours[2, 0] > colours[2, 2]


def test_missing_networks_are_marked_and_counted() -> None:
    group = study()["relevance"].to_dataset()
    there = np.array([[True, True, False], [True, False, False]])
    group = group.assign(available=(("model", "seed"), there))
    figure = quality.quality(group)
    assert len(marked(figure, "there")) == 3
    assert len(marked(figure, "missing")) == 3
    assert (
        "missing imagenet-gender seed 2, vggface2-gender seed 1, vggface2-gender seed 2"
        in quality.quality_alt(group)
    )
    assert (
        len(maps.seeds(group, None, "img00000").axes) == 4 + 3
    )  # a panel is blank; three have colour bars


def test_conservation_of_each_network_is_drawn_and_dead_maps_counted() -> None:
    group = study()["relevance"].to_dataset()
    conservation = rng().random((2, 3, 12))
    conservation[0, 0, :2] = 0
    group = group.assign(conservation=(("model", "seed", "image"), conservation))
    figure = quality.quality(group)
    np.testing.assert_allclose(
        points(figure, "conservation"), np.median(conservation, axis=-1).ravel(), rtol=1e-12
    )
    assert "2 maps sum to 0" in quality.quality_alt(group)


def test_differences_of_maps_are_outlined_where_they_are_significant() -> None:
    found = result("differences")
    panels = pixelwise.differences(found).axes
    np.testing.assert_array_equal(images(panels[0])[-1], found["estimate"].values[0])
    np.testing.assert_array_equal(images(panels[1])[-1], found["statistic"].values[0])
    p = xr.full_like(found["p_max_t"], 1.0)
    p[0, 4:8, 4:8] = 0.01
    nothing = {name: xr.ones_like(found[name]) for name in ("p_tfce", "p_cluster", "p_bh")}
    some = found.assign(p_max_t=p, **nothing)
    before = len(
        pixelwise.differences(found.assign(p_max_t=p * 0 + 1, **nothing)).axes[0].collections
    )
    assert len(pixelwise.differences(some).axes[0].collections) == before + 2  # a line and its rim
    assert "16 pixels by p_max_t" in pixelwise.differences_alt(some)
    figure = pixelwise.differences(some)
    (veil,) = [image for image in figure.axes[0].images if image.get_gid() == "veil"]
    np.testing.assert_array_equal(
        veil.get_array()[..., 3] > 0, p[0].values > 0.05
    )  # grey where it is not significant
    assert "not known to differ" in " ".join(
        text.get_text() for text in figure.legends[0].get_texts()
    )


def test_power_is_a_curve_for_each_number_of_images() -> None:
    table = result("power")
    left, right = plots.figures(table)[0].draw().axes
    for k, n in enumerate(table["images"].values):
        np.testing.assert_array_equal(
            left.get_lines()[k].get_ydata(), table["power"].sel(images=n).values
        )
        np.testing.assert_array_equal(
            right.get_lines()[k].get_ydata(), table["detectable_effect"].sel(images=n).values
        )


def test_masked_scores_stand_before_those_of_whole_images() -> None:
    found = result("sufficiency")
    figure = sufficiency.scores(found)
    order = found["score_mean"].transpose("level", "operation", "choice")
    assert points(figure, "estimate") == order.values.ravel().tolist()
    assert set(points(figure, "whole")) >= {found["whole_mean"].item()}
    compared_ = sufficiency.comparisons(found)
    assert (
        points(compared_, "estimate")
        == found["estimate"].transpose("question", "level", "against").values.ravel().tolist()
    )


@pytest.mark.parametrize(
    ("name", "people"), [("behaviour", "people_kappa"), ("human_maps", "split_half_corrected")]
)
def test_networks_stand_beside_what_people_reach(name, people) -> None:
    found = result(name)
    figure = correspondence.means(found)
    assert (
        points(figure, "estimate")
        == found["level_mean"].transpose("effect", "level").values.ravel().tolist()
    )
    assert set(points(figure, "people")) == {found[people].item()}
    differences = correspondence.differences(found)
    assert (
        points(differences, "estimate")
        == found["estimate"].transpose("effect", "contrast").values.ravel().tolist()
    )
