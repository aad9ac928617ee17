"""The 92 images of Kriegeskorte et al. 2008 and the judgments of 16 people (Mur et al.

2013): numbers that are known.
"""

from importlib.util import find_spec

import numpy as np
import pytest
import xarray as xr

from relstats.human import compare_rdms, rsa
from relstats.human.rdms.ceiling import noise_ceiling
from relstats.human.rdms.comparisons import compare_draws
from relstats.human.rdms.dissimilarity import dissimilarities
from relstats.human.rdms.embedding import mds
from relstats.human.rdms.weighted import weighted_model
from relstats.study.pairs import pair_labels

pytestmark = pytest.mark.real
N = 92
FIRST, SECOND = np.triu_indices(N, 1)


@pytest.fixture(scope="session")
def data(real_data):
    folder = real_data / "kriegeskorte92"
    files = ("human_rdms_92.npz", "stimuli_92.npz", "brain_rdms_92.npz")
    return {
        name: values
        for file in files
        for name, values in np.load(folder / file, allow_pickle=False).items()
    }


def groups(data):
    face, human = data["face"].astype(bool), data["human"].astype(bool)
    return [np.arange(N), np.flatnonzero(face), np.flatnonzero(face & human)]


def part(square, images):
    return square[..., images, :][..., images][..., *np.triu_indices(len(images), 1)]


def test_human_noise_ceilings(data):
    expected = [(92, 0.477, 0.577), (24, 0.795, 0.827), (12, 0.637, 0.696)]
    for images, (n, lower, upper) in zip(groups(data), expected, strict=True):
        assert len(images) == n
        # .6375 of the 12 human faces is known as .637: cut, not rounded
        assert noise_ceiling(part(data["rdms"], images), "spearman") == pytest.approx(
            (lower, upper), abs=6e-4
        )


def test_monkey_it_and_human_it(data):
    both = compare_rdms(data["mIT_674neurons"], data["hITvisStim_316vx"], "corr")
    assert both[0, 0] == pytest.approx(0.491, abs=5e-4)
    sessions = data["hIT_subject_session"].mean(axis=(0, 1))[FIRST, SECOND]
    assert sessions == pytest.approx(data["hITvisStim_316vx"], rel=1e-5)


def test_plain_cosine_finds_everything_good(data):
    assert noise_ceiling(data["rdms"][:, FIRST, SECOND], "cosine")[0] == pytest.approx(
        0.953, abs=5e-4
    )


def test_pixels_against_people(data):
    pixels = data["images"].reshape(N, -1)
    square = np.zeros((N, N))
    square[FIRST, SECOND] = square[SECOND, FIRST] = dissimilarities(pixels).rdm
    found = [
        compare_rdms(part(square, g), part(data["rdms"], g), "spearman").mean()
        for g in groups(data)
    ]
    # known as .10, .36, .31 of images at 160 pixels; these are the 175 pixels of the files
    assert found == pytest.approx([0.10, 0.36, 0.31], abs=0.02)


def test_categories_explain_people_on_other_images_and_other_people(data):
    """Non-negative weights of 12 category models: a fit that does not hang, and loses when held
    out.
    """
    vectors = data["category_vectors"]
    components = np.array(
        [vectors[FIRST, c] != vectors[SECOND, c] for c in range(vectors.shape[1])], float
    )
    found = weighted_model(
        components, data["rdms"][:, FIRST, SECOND], "spearman", rng=np.random.default_rng(0)
    )
    assert (found.weights >= 0).all()
    assert 0.3 < found.held_out < found.in_sample < 0.577


if find_spec("rsatoolbox"):  # no dependency: benchmarks/rsa.py records the same check

    @pytest.mark.parametrize(
        "comparison", ["corr", "cosine", "rho-a", "spearman", "corr_cov", "cosine_cov"]
    )
    def test_draws_are_those_of_rsatoolbox(comparison, data):
        from rsatoolbox import rdm as rsatoolbox

        rng = np.random.default_rng(4)
        people = rsatoolbox.RDMs(data["rdms"][:, FIRST, SECOND].astype(float))
        models = rsatoolbox.RDMs(
            np.array([data["mIT_674neurons"], data["hITvisStim_316vx"]], float)
        )
        for _ in range(3):
            drawn = rng.integers(0, N, N)
            theirs = rsatoolbox.compare(
                *(r.subsample_pattern("index", drawn) for r in (models, people)), comparison
            )
            counts = np.bincount(drawn, minlength=N)[np.newaxis]
            ours = compare_draws(
                models.dissimilarities, people.dissimilarities, counts, comparison
            )[0]
            assert ours == pytest.approx(theirs, abs=1e-10)


def test_inference_end_to_end(data):
    names = [f"{k:02d}" for k in range(N)]
    people = xr.DataArray(
        data["rdms"][:, FIRST, SECOND],
        dims=("participant", "pair"),
        coords={**pair_labels(names), "participant": [f"p{k:02d}" for k in range(16)]},
    )
    animate = data["category_vectors"][:, 0]
    rdms = [data["hITvisStim_316vx"], data["mIT_674neurons"], animate[FIRST] != animate[SECOND]]
    models = xr.DataArray(
        np.array(rdms, float),
        dims=("model", "pair"),
        coords={**pair_labels(names), "model": ["hIT", "mIT", "animacy"]},
    )
    result = rsa(
        models,
        people,
        comparison="rho-a",
        n_draws=100,
        n_permutations=199,
        rng=np.random.default_rng(1),
    )
    assert result["noise_ceiling"].values == pytest.approx([0.477, 0.577], abs=5e-4)
    assert (result["p_mantel"] == 1 / 200).all()
    low, high = result["noise_ceiling_lower_ci"].values
    assert low < 0.477 < high
    assert (result["estimate"] < low).all()
    assert result["n_participants"] == 16


def test_mds_of_the_mean_judgment(data):
    found = mds(data["rdms"][:, FIRST, SECOND].mean(axis=0))
    animate = data["category_vectors"][:, 0].astype(bool)
    apart = np.linalg.norm(found.points[animate].mean(axis=0) - found.points[~animate].mean(axis=0))
    assert apart > found.points.std()
    assert 0.1 < found.stress < 0.4
