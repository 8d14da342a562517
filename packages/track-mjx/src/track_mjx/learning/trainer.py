"""Training: collect, learn, log, save, evaluate; and resuming exactly from a checkpoint.

Randomness of iteration i comes from (seed, i) alone, so a resumed run draws what it would have drawn. A checkpoint is
made right after a line of metrics, so that a resumed run leaves no gap in the metrics and repeats none.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from track_mjx._common.errors import RunError, shorten
from track_mjx.compiled import compiled
from track_mjx.devices import devices_for
from track_mjx.learning import ppo
from track_mjx.learning.clip_sampling import Outcomes, no_outcomes, remembered, weights
from track_mjx.learning.collect import Carry, Collector, LearningStep, Totals
from track_mjx.learning.failures import FAILURE, save_failure
from track_mjx.learning.setup import Setup
from track_mjx.physics.engine import engine_name
from track_mjx.policy.metrics import score, summary, write_footfalls
from track_mjx.runs.checkpoints import flatten, unflatten
from track_mjx.runs.footfalls import NAME as FOOTFALLS
from track_mjx.runs.run_folder import RunFolder
from track_mjx.task.step import Observation

_log = logging.getLogger(__name__)

Report = Callable[[Mapping[str, Any]], None]
_FEW_STEPS = 3
"""Episodes that end early after so many control steps, on average, teach nothing."""


@dataclass
class Progress:
    """Position of a training; saved with every checkpoint."""

    iteration: int = 0
    """Unrolls learned from."""
    steps: int = 0
    """Control steps of all simulations together."""
    seconds: float = 0.0
    """Wall time over all starts of the run."""


class Trainer:
    """A training that can be advanced, saved and restored.

    `train` and `test` are numbers of clips; `report` is called with every line of metrics.
    """

    def __init__(
        self, setup: Setup, folder: RunFolder, train: list[int], test: list[int], report: Report | None = None
    ) -> None:
        self._began = time.monotonic()
        self.setup, self.folder, self.train, self.test = setup, folder, train, test
        self.report = report or (lambda line: None)
        config = setup.config
        self.config, self.progress = config, Progress()
        self.devices = devices_for(config.run.devices, config.ppo)
        of = (setup.task, setup.networks, setup.engine(varied=True), self.devices)
        self.collector, self.cloner = (
            Collector(LearningStep(*of, lead), config.ppo.unroll) for lead in (None, config.cloning.lead)
        )
        self.player = setup.player()
        self.drawn = [*train, *setup.windows]
        self.followed = self.devices.copy(setup.on_device(setup.followed, self.drawn))
        most = math.inf if config.run.evaluate_s is None else round(config.run.evaluate_s / setup.task.body.ctrl_dt)
        lengths = np.minimum(setup.followed.length, max(1, most) + 1).astype(np.int32)
        self.played = setup.on_device(setup.followed._replace(length=lengths))
        self.key = jax.random.key(config.seed)
        parameters, statistics = setup.initial_policy(jax.random.fold_in(self.key, 0))
        optimizer_state = ppo.optimizer(config.ppo, setup.networks).init(parameters)
        self.learner = self.devices.copy(ppo.Learner(parameters, optimizer_state, statistics))
        begin_key = self.devices.copy(jax.random.fold_in(self.key, 1))
        self.physics, self.carry = self.collector.begin(self.followed, begin_key, config.ppo.n_envs)
        self._update = compiled(ppo.update, setup.networks, replace(config.ppo), self.devices)
        adaptive = setup.task.config.clip_sampling != "uniform"
        self.outcomes = no_outcomes(len(self.drawn)) if adaptive else None
        self._totals: list[Totals] = []
        self._warned: set[str] = set()
        self._losses: list[dict[str, Any]] = []
        self._mark()
        self._evaluated_at = self._saved_at = time.monotonic()

    # one iteration

    def advance(self) -> None:
        """Collect one unroll and learn from it."""
        config, progress = self.config, self.progress
        drawn = jax.random.split(jax.random.fold_in(self.key, 2 + progress.iteration), 1 + config.ppo.collected_rounds)
        learn_key, *keys = self.devices.copy(list(drawn))
        unrolls, policy, collector = [], self.learner.policy, self.cloner if self.cloning() else self.collector
        for key in keys:
            collected = collector.collect(policy, self.followed, self.physics, self.carry, key)
            self.physics, self.carry, unroll, totals = collected
            unrolls.append(unroll)
            self._totals.append(totals)
        batch = unrolls[0] if len(unrolls) == 1 else join_unrolls(unrolls)
        rows = ppo.shuffled_rows(config.ppo, config.seed, progress.iteration)
        inputs = (np.float32(self.learning_rate()), np.float32(self.kl_weight()), rows, learn_key)
        learner, losses = self._update(self.learner, batch, inputs)
        if not math.isfinite(float(losses["loss"])):
            raise RunError(self._dump(batch, losses))
        self.learner = learner
        self._weigh_clips(self._totals[-len(keys) :])
        self._keep_failure()
        progress.iteration += 1
        progress.steps += config.ppo.collected_unrolls * self.collector.n_steps
        self._losses.append(losses)

    def _keep_failure(self) -> None:
        """Write the state before the first control step of the run that was not finite, for `track-mjx replay`."""
        path = self.folder.path / FAILURE
        failures = [totals.failure for totals in self._totals if totals.failure.happened]
        if failures and self.devices.chief and not path.exists():
            name = self.setup.clips.clip_name[self.drawn[int(failures[0].clip)]]
            save_failure(path, failures[0], name, self.progress.steps)
            _log.warning("step %d: a state of clip %s is not finite; `track-mjx replay dump=%s` plays the step again",
                         self.progress.steps, name, path)  # fmt: skip

    def _weigh_clips(self, latest: Sequence[Totals] = ()) -> None:
        """Let the outcomes so far decide which clips are drawn, where ``task.clip_sampling`` asks for that."""
        for totals in latest:
            if self.outcomes is not None and totals.outcomes is not None:
                self.outcomes = remembered(self.outcomes, totals.outcomes)
        if self.outcomes is not None:
            self.followed = self.followed._replace(weight=self.devices.copy(weights(self.outcomes)))

    def cloning(self) -> bool:
        """Say whether the networks still learn from demonstrations."""
        return self.progress.steps < self.config.cloning.steps

    def learning_rate(self) -> float:
        """Return the present step size."""
        config = self.config.ppo
        if self.cloning():
            return self.config.cloning.learning_rate
        if config.final_learning_rate is None:
            return config.learning_rate
        part = min(1.0, self.progress.steps / (config.schedule_steps or self.config.run.steps))
        swing = 0.5 * (1 + math.cos(math.pi * part))
        return config.final_learning_rate + (config.learning_rate - config.final_learning_rate) * swing

    def kl_weight(self) -> float:
        """Return the present weight of the prior, which rises linearly with environment steps."""
        config = self.config.ppo
        ramp = 1.0 if config.kl_ramp_steps <= 0 else min(1.0, self.progress.steps / config.kl_ramp_steps)
        return config.kl_weight * ramp

    def _dump(self, batch: Any, losses: Mapping[str, Any]) -> str:
        """Save what made the loss non-finite; return the message."""
        path = self.folder.path / "non_finite.npz"
        flat = flatten(self.devices.whole({"batch": batch, "losses": dict(losses), "learner": self.learner}))
        if self.devices.chief:
            np.savez_compressed(path, **flat)  # type: ignore[arg-type]
        steps = self.folder.checkpoints.steps()
        saved = f"the last good checkpoint is at step {steps[-1]}" if steps else "no checkpoint was made yet"
        names = ", ".join(name for name, value in losses.items() if not math.isfinite(float(value)))
        seen = self._broken_observations(batch[0].observation)
        if seen:
            names += f"; observations that are not finite: {shorten(seen)}"
        return (
            f"{self.folder.path}: at step {self.progress.steps} the loss is not finite ({names}); {saved}; {path.name} "
            "holds the batch and the networks before it; a smaller ppo.learning_rate or limited costs may help"
        )

    def _broken_observations(self, observation: Observation) -> list[str]:
        """Names of the observation terms that are not finite in a batch."""
        names: dict[str, None] = {}
        for group, values in observation._asdict().items():
            broken = np.logical_not(np.isfinite(self.devices.own(values)).reshape(-1, values.shape[-1]).all(0))
            terms = self.setup.task.observed_by(self.setup.followed, group)
            names |= dict.fromkeys(term for term, bad in zip(terms, broken.tolist(), strict=True) if bad)
        return list(names)

    # the loop

    def run(self, stop: Callable[[], bool] = lambda: False) -> bool:
        """Train until the steps or the time of the config are used up or `stop` returns True; evaluate and save.

        Once `stop` is True nothing is evaluated any more, so that the checkpoint is there within seconds. Return False
        where the time ended it.
        """
        run = self.config.run
        deadline = math.inf if run.max_minutes is None else self._began + 60 * run.max_minutes
        stopped = self.devices.any(stop())
        late = False
        while self.progress.steps < run.steps and not stopped and not late:
            self.advance()
            last = self.progress.steps >= run.steps
            stopped, late = self.devices.any(stop()), self.devices.any(time.monotonic() > deadline)
            if self.progress.iteration % run.log_every == 0 or last or stopped or late:
                self._log_line(last or stopped or late, stop)
        if self.devices.chief:
            self.folder.write_table()
        return not late or self.progress.steps >= run.steps

    def seconds(self) -> float:
        """Return the wall time of the run so far."""
        return self.progress.seconds + time.monotonic() - self._marks["start"]

    def _log_line(self, final: bool, stop: Callable[[], bool] = lambda: False) -> None:
        line = self._numbers()
        run, now = self.config.run, time.monotonic()
        due = run.evaluate_every_s > 0 and now - self._evaluated_at >= run.evaluate_every_s
        evaluated, saved = self.devices.chiefs(final or due, final or self._checkpoint_due(due))
        if self.devices.chief:
            self.folder.add_metrics(line)
        if saved:  # before the evaluation, which may take minutes: a job that is killed meanwhile loses nothing
            self.save()
        if not self.devices.chief:
            return
        evaluation = self.evaluate(stop) if evaluated else {}
        if evaluation:
            line |= {f"eval/{key}/{name}": v for key, group in evaluation.items() for name, v in group.items()}
            self.folder.extend_metrics(line)
            self._evaluated_at = time.monotonic()
            best = self._score(evaluation)
            if saved and best is not None:
                self.folder.checkpoints.judge(self.progress.steps, best)
        self.report(line)

    def _score(self, evaluation: Mapping[str, Mapping[str, Any]]) -> float | None:
        """Return the score on held-out clips, else on train clips; None, with a warning, if it is not finite."""
        best = score(evaluation.get("test") or evaluation["train"])
        if math.isfinite(best):
            return best
        _log.warning("step %d: no step of the evaluated clips is finite; the checkpoint has no score",
                     self.progress.steps)  # fmt: skip
        return None

    def _checkpoint_due(self, evaluated: bool) -> bool:
        run = self.config.run
        if run.checkpoint_every is not None:
            return self.progress.iteration % run.checkpoint_every == 0
        overdue = run.checkpoint_every_s > 0 and time.monotonic() - self._saved_at >= run.checkpoint_every_s
        return overdue or (evaluated and run.checkpoint_every_s > 0)

    def _numbers(self) -> dict[str, Any]:
        """Return means since the last line, for the log; unscaled and per control step."""
        sums = [totals._replace(failure=None) for totals in self._totals]
        totals = jax.tree.map(lambda *x: np.sum([np.asarray(v) for v in x], axis=0), *sums)
        losses = {k: float(np.mean([np.asarray(part[k]) for part in self._losses])) for k in self._losses[0]}
        n = self.config.ppo.n_envs * self.collector.n_steps * len(self._totals)
        now = time.monotonic()
        speed = (self.progress.steps - self._marks["steps"]) / max(1e-9, now - self._marks["log"])
        # evaluations and checkpoints count in the line after them: the lines together last as long as the run
        self._marks["log"], self._marks["steps"] = now, float(self.progress.steps)
        episodes = max(1, int(totals.episodes))
        task = self.setup.task
        self._warn_of(totals)
        self._totals, self._losses = [], []
        return {
            "iteration": self.progress.iteration,
            "steps": self.progress.steps,
            "seconds": round(self.progress.seconds + now - self._marks["start"], 3),
            "control_steps_per_s": round(speed, 1),
            "physics_steps_per_s": round(speed * task.body.arena.n_substeps, 1),
            "reward": float(totals.reward) / n,
            "episodes": int(totals.episodes),
            "episode_reward": float(totals.episode_reward) / episodes,
            "episode_s": float(totals.episode_steps) / episodes * task.body.ctrl_dt,
            **{f"terms/{name}": float(value) / n for name, value in totals.metrics.items()},
            **{f"ended/{name}": int(count) for name, count in zip(task.reasons, totals.reasons, strict=True)},
            **{f"learning/{name}": value for name, value in losses.items()},
            "learning/rate": self.learning_rate(),
            "learning/kl_weight": self.kl_weight(),
        }

    def _warn_of(self, totals: Totals) -> None:
        """Say once what makes episodes useless: terms that are not finite, and ends in their first steps."""
        broken = {f"{name} is not finite": int(count) for name, count in totals.broken.items() if count}
        ended = dict(zip(self.setup.task.reasons, map(int, totals.reasons), strict=True))
        _, *causes = self.setup.task.reasons
        early = sum(ended[name] for name in causes)
        if early > 0.5 * totals.episodes and totals.episode_steps < _FEW_STEPS * totals.episodes:
            reason = max(causes, key=lambda name: ended[name])
            broken[
                f"most episodes end within {_FEW_STEPS} control steps, most by {reason} (task.terminations.{reason})"
            ] = early
        for what, count in broken.items():
            if what not in self._warned:
                self._warned.add(what)
                _log.warning("step %d: %s (%d times since the last line of metrics)", self.progress.steps, what, count)

    def evaluate(self, stop: Callable[[], bool] = lambda: False) -> dict[str, dict[str, Any]]:
        """Return numbers of train and held-out clips, the policy using its means; nothing once `stop` is True."""
        out, task, run = {}, self.setup.task, self.config.run
        for name, clips in (("train", self.train), ("test", self.test)):
            chosen = evaluated_clips(clips, run.evaluate_clips, self.config.seed)
            if chosen and not stop():
                policy = self.devices.local(self.learner.policy)
                self.player.watch = lambda _done, _of: not stop()
                played = self.player.play(policy, self.played, task.cases(self.played, chosen))
                out[name] = summary(task, played)
                write_footfalls(task, played, self.folder.path / f"{FOOTFALLS.format(name)}.csv")
        return {} if stop() else out

    # saving and restoring

    def state(self) -> dict[str, Any]:
        """Return everything that resuming needs."""
        return {
            "learner": self.learner,
            "carry": self.devices.whole(self.carry),
            "physics": self.devices.whole(self.collector.engine.save(self.physics)),
            "key": self.key,
            "iteration": np.int64(self.progress.iteration),
            "steps": np.int64(self.progress.steps),
            "seconds": np.float64(self.seconds()),
            "fits": self._fits(),
            **({} if self.outcomes is None else {"outcomes": self.outcomes}),
        }

    def _fits(self) -> np.ndarray:
        """What the state of simulations depends on, as a number: it is restored only where that is the same."""
        config = self.config
        physics = asdict(replace(config.physics, engine=engine_name(config.physics.engine), threads=0))
        clips = [self.setup.clips.sha256, config.task.clip_s, config.ppo.n_envs]
        text = json.dumps([physics, asdict(config.arena), clips])
        return np.frombuffer(hashlib.sha256(text.encode()).digest()[:8], np.int64)

    def save(self) -> None:
        """Make a checkpoint."""
        state = self.state()
        if self.devices.chief:
            self.folder.save(self.progress.steps, state)
        self._saved_at = time.monotonic()

    def resume(self) -> None:
        """Restore the last checkpoint; a run that never had one starts again."""
        if self.folder.checkpoints.steps():
            self.restore()
        elif self.devices.chief:
            if self.folder.metrics():
                _log.warning("%s: no checkpoint yet; the training starts again at step 0", self.folder.path)
            self.folder.forget_after(0)

    def restore(self, which: str | int = "last") -> None:
        """Restore a checkpoint of the run, and drop the metrics after it."""
        step, flat = self.folder.checkpoints.load(which)
        where, like, devices = str(self.folder.checkpoints.path(step)), self.state(), self.devices
        episodes = {name: flat.pop(name) for name in list(flat) if name.startswith(("carry/", "physics/"))}
        present = {name: like.pop(name) for name in ("carry", "physics")}
        fits = flat.setdefault("fits", like["fits"])
        state = unflatten(flat, like, where)
        self.learner = devices.copy(jax.tree.map(jnp.asarray, state["learner"]))
        self.key = state["key"]
        try:
            if not np.array_equal(fits, like["fits"]):
                raise RunError(f"{where}: its simulations are of another engine, physics, arena, clips or ppo.n_envs")
            kept = unflatten(episodes, present, where)
            self.carry = devices.spread(Carry(*jax.tree.map(jnp.asarray, devices.part(kept["carry"]))))
            self.physics = self.collector.engine.load(self.physics, devices.part(kept["physics"]))
        except RunError as error:
            _log.warning("%s; all episodes restart", error)
        if self.outcomes is not None:
            self.outcomes = Outcomes(*state["outcomes"])
            self._weigh_clips()
        self.progress = Progress(int(state["iteration"]), int(state["steps"]), float(state["seconds"]))
        self._mark()
        if devices.chief:
            self.folder.forget_after(self.progress.iteration)

    def _mark(self) -> None:
        """Start to count time and steps."""
        self._marks = {"start": time.monotonic(), "log": time.monotonic(), "steps": float(self.progress.steps)}


def evaluated_clips(clips: Sequence[int], most: int, seed: int) -> list[int]:
    """Draw at most this many clips with the seed of the run, so that every session of a file can be among them."""
    if len(clips) <= most:
        return list(clips)
    return sorted(np.random.default_rng(seed).choice(clips, most, replace=False).tolist())


@jax.jit
def join_unrolls(unrolls: list[tuple[ppo.Transition, Observation]]) -> tuple[ppo.Transition, Observation]:
    """Concatenate unrolls, as if more simulations had run; each keeps its own end."""
    transitions = jax.tree.map(lambda *x: jnp.concatenate(x, axis=1), *[unroll for unroll, _ in unrolls])
    return transitions, jax.tree.map(lambda *x: jnp.concatenate(x, axis=0), *[last for _, last in unrolls])
