"""The studies, one record each: a study is its record here, with the class of its settings, and the module it names.

The module of a study has a ``TITLE``, a ``QUESTION`` and these functions:

- ``run(rollouts, config, stage) -> Study`` computes numbers, tables, figures and notes;
- ``section(study) -> Section`` gives the tables and sentences of the report;
- ``facts(study) -> dict[str, Fact]``, where the papers print numbers of the study, names ours.

Modules are named, not imported, so that ``--help`` stays fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal

from reach_analysis import config as schemas


@dataclass(frozen=True)
class StudyVerb:
    """One study: a verb of the command, a chapter of the report, or both."""

    config: type
    """Class of its settings."""
    module: str
    """Its module, below this package."""
    takes: Literal["one", "optional", "all", "none"] = "one"
    """Rollouts that ``run`` takes: of one condition, the same if they are given, a map of all conditions, or none."""
    report: Literal["each", "focus", "all"] = "each"
    """Studies in the report: one for each condition, for the condition in focus, or for all together."""
    help: str = ""
    """One line of help; empty: only the report makes this study."""
    examples: str = ""
    """Command lines of its help."""
    changed: Mapping[str, Any] = field(default_factory=dict)
    """Settings with another default in the report."""
    uses: str = ""
    """Setting of the report that asks for this study: with it, an error of the study ends the command."""
    extra: bool = False
    """Whether the report makes it only on request."""
    repeats: bool = False
    """Whether it reads all repeats of a file, not one of them."""
    replication: str = ""
    """Function that repeats it with the choices of the public notebooks, as ``module:function``."""


def load(name: str) -> Any:
    """Import a module of this package, or a function of it named as ``module:function``."""
    module, _, function = name.partition(":")
    imported = import_module(f"reach_analysis.{module}")
    return getattr(imported, function) if function else imported


STUDIES: dict[str, StudyVerb] = {
    "errors": StudyVerb(
        schemas.ErrorsConfig,
        "studies.errors",
        help="measure tracking errors of joints and keypoints, by body region",
        examples="reach-analysis errors rollouts=rollouts.h5 clips=clips.h5",
        uses="clips",
    ),
    "survival": StudyVerb(
        schemas.SurvivalConfig,
        "studies.survival",
        help="estimate how long rollouts last before they end early",
        examples="reach-analysis survival 'rollouts=[seed_0.h5,seed_1.h5]' times_s=[30,120]",
        takes="all",
        report="all",
        repeats=True,
    ),
    "comparison": StudyVerb(
        schemas.ComparisonConfig,
        "studies.comparison",
        help="compare controllers, or one before and after a perturbation, trial by trial",
        examples="reach-analysis comparison 'rollouts={before:before.h5,weak:weak.h5}'",
        takes="all",
        report="all",
    ),
    "emg": StudyVerb(
        schemas.EmgConfig,
        "studies.emg",
        help="turn raw EMG into envelopes and compare simulated muscles with them",
        examples="""\
            reach-analysis emg rollouts=rollouts.h5 'emg={biceps:biceps.csv,triceps:triceps.csv}' trials=trials.csv
            reach-analysis emg 'rollouts={joint_only:a.h5,physics_aware:b.h5}' emg=synthetic:physics_aware""",
        takes="all",
        report="all",
        uses="emg",
        replication="replication.muscles:compare_muscles",
    ),
    "envelopes": StudyVerb(
        schemas.EnvelopesConfig,
        "studies.envelopes",
        help="judge raw EMG and turn it into envelopes; no controller is needed",
        examples="""\
            reach-analysis envelopes emg=walk.c3d chain.band_hz=[20,450] chain.notch_hz=50
            reach-analysis envelopes 'emg=walks/*.c3d' mvc=mvc.c3d 'recording.leave_out=[walk_07]' chain.baseline=5""",
        takes="none",
        report="all",
        extra=True,
    ),
    "spectra": StudyVerb(
        schemas.SpectraConfig,
        "studies.spectra",
        help="measure the power of actions within a band of frequencies",
        examples="reach-analysis spectra 'rollouts={joint_only:a.h5,physics_aware:b.h5}' low_hz=20",
        takes="all",
        report="all",
        replication="replication.components:compare_spectra",
    ),
    "pca": StudyVerb(
        schemas.PcaConfig,
        "studies.pca",
        help="find the principal components of the intention and of every layer",
        examples="""\
            reach-analysis pca rollouts=rollouts.h5 colour_by=elbow out=results
            reach-analysis pca rollouts=fly.h5 layers=[latent_mean] window_frames=31""",
        replication="replication.components:compare_components",
    ),
    "similarity": StudyVerb(
        schemas.SimilarityConfig,
        "studies.similarity",
        help="compare intention, layers, muscles, joints and EMG by CKA and RSA",
        examples="reach-analysis similarity rollouts=rollouts.h5 draws=1000",
        changed={"draws": 200},
    ),
    "synergies": StudyVerb(
        schemas.SynergiesConfig,
        "studies.synergies",
        help="find muscle synergies and how many there are, of a controller and of recorded EMG",
        examples="""\
            reach-analysis synergies rollouts=rollouts.h5 largest=6
            reach-analysis synergies emg=walk.c3d chain.band_hz=[20,450] chain.window_s=[] chain.samples=null""",
        takes="optional",
    ),
    "forecast": StudyVerb(
        schemas.ForecastConfig,
        "studies.forecast",
        help="forecast muscles and EMG by simplex projection, with nulls, baselines and ceilings",
        examples="""\
            reach-analysis forecast rollouts=rollouts.h5 out=results
            reach-analysis forecast rollouts=rollouts.h5 E=[3] tau=[-1] permutations=5000""",
        report="focus",
        replication="replication.forecast:run",
    ),
    "coupling": StudyVerb(schemas.CouplingConfig, "studies.coupling", report="focus"),
    "topology": StudyVerb(
        schemas.TopologyConfig,
        "studies.topology",
        help="look for loops and voids in latents and layers, with matched nulls (extra `topology`)",
        examples="reach-analysis topology rollouts=rollouts.h5 layers=[latent_mean,decoder/layer_2]",
        report="focus",
        changed={"max_dimension": 1, "draws": 39},
        extra=True,
    ),
    "replication": StudyVerb(schemas.ForecastConfig, "replication.forecast", report="focus", extra=True),
    "gait": StudyVerb(
        schemas.GaitConfig,
        "studies.gait",
        help="find gait cycles, footfalls, duty factors and phase lags from contacts",
        examples="reach-analysis gait rollouts=rat.h5 lead=hand_L min_speed=0.05",
    ),
    "sweep": StudyVerb(
        schemas.SweepConfig,
        "studies.sweep",
        help="compare the runs of a sweep: reward, high-frequency power, EMG error, the knee",
        examples="reach-analysis sweep runs='sweep/*' parameter=task.costs.control.weight",
        takes="none",
        report="all",
        uses="runs",
    ),
}
"""All studies, in the order of the report."""
