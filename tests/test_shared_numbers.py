"""Numbers that two packages compute from one module: survival curves and regions of a body."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from contract import examples, kit
from hypothesis import given, settings
from hypothesis import strategies as st
from reach_analysis._common.errors import ConfigError, DataError
from reach_analysis._common.survival import episodes_of, kaplan_meier
from reach_analysis.behaviour.tracking_errors import assign_regions
from reach_analysis.config import SurvivalConfig
from reach_analysis.data.rollouts import read_rollouts
from reach_analysis.studies import survival as study
from scipy import stats
from track_mjx._common.regions import regions_by_name

# survival

# Weeks of remission under 6-mercaptopurine (Freireich et al. 1963), the example of Kalbfleisch and Prentice and others.
REMISSION = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
RELAPSED = [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]


def test_survival_of_a_published_trial() -> None:
    curve = kaplan_meier(np.array(REMISSION, float), np.array(RELAPSED, bool))
    published = {6.0: 0.857, 7.0: 0.807, 10.0: 0.753, 13.0: 0.690, 16.0: 0.627, 22.0: 0.538, 23.0: 0.448}
    for week, expected in published.items():
        assert curve.at(week)[0] == pytest.approx(expected, abs=6e-4)
        assert curve.at(week + 0.5)[0] == curve.at(week)[0]
    assert curve.at(5.9) == pytest.approx((1, stats.binomtest(21, 21).proportion_ci(0.95, "exact").low, 1))
    assert curve.at(6.0)[1:] == pytest.approx((0.620, 0.952), abs=6e-4)  # R: survfit(conf.type = "log-log")
    assert curve.median == 23
    assert np.isnan(curve.at(36.0)).all()
    assert curve.at_risk[:3].tolist() == [21, 21, 17]


def test_survival_of_a_worked_example_at_every_control_step() -> None:
    """Six episodes: ends at 1, 3, 3 and 5; watched without an end up to 2 and 5."""
    ended = np.array([1, 0, 1, 1, 1, 0], bool)
    curve = kaplan_meier(np.array([1, 2, 3, 3, 5, 5], float), ended, times=np.arange(6))
    by_hand = [1, 5 / 6, 5 / 6, 5 / 6 * 2 / 4, 5 / 6 * 2 / 4, 5 / 6 * 2 / 4 * 1 / 2]
    assert curve.survival == pytest.approx(by_hand)
    assert curve.time.tolist() == [0, 1, 2, 3, 4, 5]
    assert curve.at_risk.tolist() == [6, 6, 5, 4, 2, 2]
    assert curve.median == 3


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=30))
def test_interval_holds_the_curve_or_does_not_exist(episodes: list[tuple[int, bool]]) -> None:
    duration, ended = np.array([float(d) for d, _ in episodes]), np.array([e for _, e in episodes])
    curve = kaplan_meier(duration, ended, times=np.arange(12))
    none = curve.survival == 0
    assert (np.isnan(curve.low) == none).all()
    assert (np.isnan(curve.high) == none).all()
    assert (curve.low[~none] <= curve.survival[~none]).all()
    assert (curve.survival[~none] <= curve.high[~none]).all()


@pytest.mark.parametrize(
    ("duration", "ended", "expected", "median"),
    [
        ([9.0] * 12, [False] * 12, {0: (1, 0.025 ** (1 / 12), 1), 9: (1, 0.025 ** (1 / 12), 1)}, np.nan),
        ([4.0] * 12, [True] * 12, {3: (1, 0.025 ** (1 / 12), 1), 4: (0, np.nan, np.nan)}, 4.0),
        ([4.0], [True], {0: (1, 0.025, 1), 4: (0, np.nan, np.nan), 99: (0, np.nan, np.nan)}, 4.0),
        ([4.0], [False], {0: (1, 0.025, 1), 4: (1, 0.025, 1), 5: (np.nan, np.nan, np.nan)}, np.nan),
    ],
    ids=["no end", "all ends at one time", "one clip that ends", "one clip to its end"],
)
def test_edges_of_the_interval(duration: list, ended: list, expected: dict, median: float) -> None:
    curve = kaplan_meier(np.array(duration), np.array(ended))
    for time, values in expected.items():
        assert curve.at(time) == pytest.approx(values, nan_ok=True)
    assert curve.median == pytest.approx(median, nan_ok=True)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """Exponential episodes, half of them censored: 400 samples of 40, at the time that half survive."""
    rng = np.random.default_rng(0)
    hits = []
    for _ in range(400):
        event, end = rng.exponential(1.0, 40), rng.exponential(1.5, 40)
        _, low, high = kaplan_meier(np.minimum(event, end), event <= end).at(np.log(2))
        hits.append(low <= 0.5 <= high)
    assert 0.92 < np.mean(hits) < 0.98


def test_survival_needs_episodes_and_a_level() -> None:
    with pytest.raises(DataError, match="at least one episode"):
        kaplan_meier(np.array([]), np.array([], bool))
    with pytest.raises(ConfigError, match="level"):
        kaplan_meier(np.ones(4), np.ones(4, bool), level=95.0)


def test_both_packages_draw_the_same_curve_from_one_file(tmp_path: Path) -> None:
    examples.write_rollouts(tmp_path / "rollouts.h5")
    with kit.edit(tmp_path / "rollouts.h5") as file:
        file["valid"][1, 3:] = 0
        file["terminated"][1, 2] = 1
        file["termination_reason"][1] = 1
        n_steps, ended = np.asarray(file["valid"]).sum(1), np.asarray(file["terminated"]).astype(bool)
        rate = float(file.attrs["rate_hz"])
    rollouts = read_rollouts(tmp_path / "rollouts.h5")
    (row,) = study.run({"all": rollouts}, SurvivalConfig(times_s=[0.0, 3 / rate, 4 / rate])).results
    episodes = episodes_of(ended, n_steps)
    curve = kaplan_meier(episodes.steps.astype(float), episodes.ended, times=np.arange(episodes.steps.max() + 1))
    for step, name in ((0, "0"), (3, f"{3 / rate:g}"), (4, f"{4 / rate:g}")):
        assert list(row["at_s"][name].values()) == pytest.approx(curve.at(step), nan_ok=True)


# regions

BY_HAND = {
    "rat": {
        "forelimbs": ["scapula_L", "upper_arm_R", "lower_arm_L", "hand_L", "finger_R"],
        "hindlimbs": ["upper_leg_L", "lower_leg_R", "foot_R", "toe_L"],
        "head": ["skull", "jaw", "vertebra_cervical_3", "vertebra_axis", "vertebra_atlant"],
        "tail": ["vertebra_C1", "vertebra_C30"],
        "back": ["vertebra_1", "pelvis", "torso"],
        "trunk": ["walker"],
    },
    "rat keypoints": {
        "head": ["Snout", "EarL"], "back": ["SpineF", "TailBase"], "forelimbs": ["ElbowL", "HandR"],
        "hindlimbs": ["HipL", "FootR"], "tail": ["tail_tip", "TailMid"], "other": ["Whisker"],
    },
    "rat joints": {
        "trunk": ["root position", "root orientation"], "back": ["vertebra_1_extend"], "tail": ["vertebra_C1_bend"],
        "head": ["vertebra_cervical_1_bend", "atlas"], "forelimbs": ["scapula_L_supinate"],
    },
    "mouse": {
        "forelimbs": ["clavicle_l", "scapula", "humerus", "ulna", "radius", "wrist_body", "sh_elv"],
        "hindlimbs": ["femur_r", "tibia_l", "ankle"], "head": ["skull", "snout"], "tail": ["tail_3", "tail"],
        "back": ["spine_2", "tail_base"],
    },
    "fly": {
        "front legs": ["coxa_T1_left", "femur_T1_right", "claw_T1_left"], "middle legs": ["tibia_T2_left"],
        "hind legs": ["coxa_T3_left"], "abdomen": ["abdomen", "abdomen_4"], "wings": ["wing_left", "haltere_right"],
        "head": ["head", "antenna_left", "rostrum", "haustellum", "labrum_left"], "trunk": ["thorax"],
    },
    "stick": {
        "front legs": ["20-f-l-claws-l", "33-f-r-tibia-l"], "middle legs": ["24-m-l-tarsus-l"],
        "hind legs": ["46-h-r-claws-l"], "abdomen": ["08-a3-l"], "trunk": ["05-t2-l", "reference_base"],
    },
    "worm": {"back": ["torso", "torso12_body"], "other": ["segment_3"]},
}  # fmt: skip


def test_regions_stand_in_one_table() -> None:
    for names in BY_HAND.values():
        parts = [part for members in names.values() for part in members]
        assert {region: set(members) for region, members in regions_by_name(parts).items()} == {
            region: set(members) for region, members in names.items()
        }
        assert assign_regions(parts) == regions_by_name(parts)


def test_the_median_is_where_exactly_half_survive() -> None:
    """Of an even number half have ended at the middle event, whatever the products of fractions round to."""
    for count in range(2, 101, 2):
        curve = kaplan_meier(np.arange(1.0, count + 1), np.ones(count, dtype=bool))
        assert curve.median == count / 2
