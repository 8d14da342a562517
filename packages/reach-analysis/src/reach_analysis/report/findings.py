"""The opening paragraph: what was found, in plain words, every number computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from reach_analysis.data.rollouts import Rollouts
from reach_analysis.report.facts import Fact, Facts
from reach_analysis.report.numbers import interval, number, p_text
from reach_analysis.report.papers import DIFFERS, OPEN, REPLICATES
from reach_analysis.report.sections import Inputs


@dataclass(frozen=True)
class Finding:
    """One sentence.

    Attributes:
        section: key of the section it is about.
        text: the sentence.
        opening: whether it belongs to the first paragraph rather than to the list below.
    """

    section: str
    text: str
    opening: bool = False


def findings(inputs: Inputs, facts: Facts, verdicts: Mapping[str, int]) -> list[Finding]:
    """Sentences in the order they are read.

    Args:
        inputs: what was analysed.
        facts: the numbers.
        verdicts: number of claims by verdict.
    """
    out = [Finding("inputs", _who(inputs), opening=True)]
    for section, tell in (("errors", _tracking), ("survival", _survival), ("comparison", _comparison)):
        out += [Finding(section, text, opening=True) for text in tell(facts)]
    out += [Finding("papers", text, opening=True) for text in _papers(verdicts)]
    for section, tell in _TELLERS:
        out += [Finding(section, text) for text in tell(facts)]
    return out


def _who(inputs: Inputs) -> str:
    parts = [
        f"{_plain(name)} ({len(rollouts.trials)} trials of at most {_longest(rollouts)} s)"
        for name, rollouts in inputs.conditions.items()
    ]
    first = next(iter(inputs.conditions.values()))
    body = str(first.attributes.get("model_name", "body")).replace("_", " ")
    noun = "controller" if len(parts) == 1 else "controllers"
    listed = "; ".join(parts)
    return (
        f"This page looks at {len(parts)} {noun} of the {body} that followed recorded movements in physics: {listed}."
    )


def _longest(rollouts: Rollouts) -> str:
    return number(float(rollouts.n_steps.max(initial=0)) / rollouts.rate_hz)


def _value(fact: Fact, scale: float = 1.0) -> str:
    return interval(fact.value * scale, fact.low * scale, fact.high * scale)


def _plain(condition: str) -> str:
    return condition.replace("_", " ")


def _tracking(facts: Facts) -> Iterator[str]:
    for unit, what, name in (("mm", "keypoints", "tracking/total/mm"), ("°", "joints", "joints/total/deg")):
        told = [(c, fact) for c in facts.conditions if (fact := facts.get(f"errors/{name}/mean", c)) is not None]
        if told:
            listed = ", ".join(f"{_value(fact)} {unit}{_by(condition, facts)}" for condition, fact in told)
            yield f"On average {what} strayed from the movement by {listed} (95 % intervals over trials)."
            return


def _by(condition: str, facts: Facts) -> str:
    """Whose a number is, where there are several controllers."""
    return f" ({_plain(condition)})" if len(facts.conditions) > 1 else ""


def _survival(facts: Facts) -> Iterator[str]:
    for condition in facts.conditions:
        episodes, ended = (facts.get(f"survival/{what}", condition) for what in ("episodes", "ended"))
        if episodes is not None and ended is not None and ended.value:
            yield (
                f"Of {episodes.value:.0f} episodes of {_plain(condition)}, {ended.value:.0f} ended early because the "
                "controller lost the movement."
            )
    every = [facts.get("survival/ended", condition) for condition in facts.conditions]
    if every and all(fact is not None and fact.value == 0 for fact in every):
        yield "No episode ended early."


def _comparison(facts: Facts) -> Iterator[str]:
    first, *others = facts.conditions
    for other in others:
        parts = []
        for quantity in ("high-frequency power", "squared control", "joint error (deg)"):
            where = f"comparison/{quantity}"
            change = facts.get(f"{where}/{first}>{other}")
            base = facts.get(f"{where}/first/{first}>{other}")
            if change is None or base is None or not base.value:
                continue
            percent = 100 * change.value / abs(base.value)
            sure = change.has_interval and (change.low > 0 or change.high < 0)
            if not sure:
                parts.append(f"{quantity} did not change beyond chance")
                continue
            parts.append(f"{quantity} {'rose' if percent > 0 else 'fell'} by {number(abs(percent), 2)} %")
        if parts:
            yield f"From {_plain(first)} to {_plain(other)}, {', '.join(parts)}."


def _emg(facts: Facts) -> Iterator[str]:
    parts = [
        f"{muscle} {_value(fact)}{_by(condition, facts)}"
        for condition in facts.conditions
        for muscle in ("biceps", "triceps")
        if (fact := facts.get(f"emg/recorded/{muscle}/act/mae", condition)) is not None
    ]
    if parts:
        yield (
            "Simulated activation differed from the recorded EMG by a mean absolute error of "
            f"{', '.join(parts)}, in units of the EMG's 98th percentile."
        )


def _representation(facts: Facts) -> Iterator[str]:
    where, condition = "pca/intention", facts.focus
    three, held = facts.get(f"{where}/first_3", condition), facts.get(f"{where}/held_out", condition)
    size, units = facts.get(f"{where}/participation", condition), facts.get(f"{where}/units", condition)
    if three is None or held is None or size is None or units is None:
        return
    yield (
        f"The first three components of {_plain(condition)}'s intention hold {_value(three, 100.0)} % of its variance "
        f"({number(100 * held.value)} % in trials left out); of its {units.value:.0f} dimensions it uses "
        f"{number(size.value, 2)} (participation ratio)."
    )


def _synergies(facts: Facts) -> Iterator[str]:
    chosen, accounted = (facts.get(f"synergies/{what}", facts.focus) for what in ("chosen", "accounted"))
    if chosen is not None and accounted is not None:
        noun = "synergy predicts" if chosen.value == 1 else "synergies predict"
        yield (
            f"{chosen.value:.0f} {noun} left-out muscles in left-out trials as well as any number does, and account "
            f"for {number(100 * accounted.value)} % of the activation."
        )


def _forecast(facts: Facts) -> Iterator[str]:
    for muscle in ("biceps", "triceps"):
        for kind, what in (("simulated", f"The simulated {muscle}"), ("emg", f"EMG of the {muscle}")):
            where = f"forecast/{muscle}/{kind}/joints/spearman"
            score = facts.get(where, facts.focus)
            null, chance = (facts.get(f"{where}/trial_permutation_{x}", facts.focus) for x in ("median", "p"))
            template, linear = (facts.get(f"{where}/{rival}", facts.focus) for rival in ("mean_trial", "ridge"))
            if score is None or null is None or chance is None or template is None or linear is None:
                continue
            best = "" if score.value > max(template.value, linear.value) else ": a simpler forecast does as well"
            yield (
                f"{what} can be forecast from the joints' history with ρ = {_value(score)}; exchanged trials give "
                f"{number(null.value)} (p {_p(chance.value)}), the mean trial {number(template.value)}, a linear model "
                f"{number(linear.value)}{best}."
            )


def _p(value: float) -> str:
    text = p_text(value)
    return text if text.startswith("<") else f"= {text}"


def _gait(facts: Facts) -> Iterator[str]:
    for condition in facts.conditions:
        cycles, duration = (facts.get(f"gait/{what}", condition) for what in ("cycles", "duration"))
        if cycles is not None and duration is not None:
            counted = "One gait cycle" if cycles.value == 1 else f"{cycles.value:.0f} gait cycles"
            feet, still = (facts.get(f"gait/{what}", condition) for what in ("feet", "still"))
            doubt = ""
            if feet is not None and still is not None and still.value:
                doubt = f"; {still.value:.0f} of {feet.value:.0f} feet have none, so it may be no locomotion"
            yield f"{counted} of {_value(duration)} s found{_by(condition, facts)}{doubt}."


def _sweep(facts: Facts) -> Iterator[str]:
    for kind, what in (("control_cost", "the control cost"), ("other", "what was swept")):
        power, knee = facts.get(f"sweep/{kind}/trend/high_frequency_power"), facts.get(f"sweep/{kind}/knee")
        if power is not None:
            text = f"Over {power.n} runs, high-frequency power and {what} have a rank correlation of {_value(power)}"
            yield text + (f"; the knee lies at {number(knee.value)}." if knee is not None else ".")


def _papers(verdicts: Mapping[str, int]) -> Iterator[str]:
    total = sum(verdicts.values())
    if total:
        yield (
            f"Of {total} {'value' if total == 1 else 'values'} that the papers print about this body, "
            f"{verdicts[REPLICATES]} replicate here, {verdicts[DIFFERS]} differ, and {verdicts[OPEN]} cannot be "
            "checked with these files."
        )


_TELLERS = (
    ("emg", _emg),
    ("pca", _representation),
    ("synergies", _synergies),
    ("forecast", _forecast),
    ("gait", _gait),
    ("sweep", _sweep),
)
