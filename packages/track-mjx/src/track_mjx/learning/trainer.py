"""Training: collect, learn, log, evaluate, save; and going on exactly where a checkpoint was made.

Randomness of iteration i comes from (seed, i) alone, so a run that goes on draws what it would have drawn. Checkpoints
are made right after a line of metrics, so that going on leaves no gap in the metrics and repeats none.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from track_mjx._common.errors import ConfigError, RunError, raise_all
from track_mjx._common.progress import reporting
from track_mjx.devices import devices_for
from track_mjx.learning import ppo
from track_mjx.learning.collect import Carry, Collector, Totals
from track_mjx.learning.setup import Setup
from track_mjx.learning.terminal import stop_on_signals, training_bar
from track_mjx.physics.engine import engine_name, verify_division
from track_mjx.policy.metrics import parts_of, score, summary
from track_mjx.policy.play import Player
from track_mjx.policy.policy import empty_statistics
from track_mjx.runs.checkpoints import flatten, unflatten
from track_mjx.runs.curves import draw_curves
from track_mjx.runs.loggers import open_trackers
from track_mjx.runs.run_folder import CURVES, RunFolder
from track_mjx.task.step import Observation

_log = logging.getLogger(__name__)

Report = Callable[[Mapping[str, float | int]], None]


@dataclass
class Progress:
    """Where training is; saved with every checkpoint.

    Attributes:
        iteration: unrolls learned from.
        steps: environment (control) steps taken.
        seconds: wall time spent so far, over all starts of the run.
    """

    iteration: int = 0
    steps: int = 0
    seconds: float = 0.0


class Trainer:
    """A training that can be advanced, saved and restored.

    Args:
        setup: task and networks.
        folder: where the run lives.
        train, test: numbers of the clips of each set.
        report: called with every line of metrics.
    """

    def __init__(
        self, setup: Setup, folder: RunFolder, train: list[int], test: list[int], report: Report | None = None
    ) -> None:
        verify(setup)
        self.setup, self.folder, self.train, self.test = setup, folder, train, test
        self.report = report or (lambda line: None)
        config = setup.config
        self.config, self.progress = config, Progress()
        self.devices = devices_for(config.run.devices, config.ppo)
        self.collector = Collector(setup.task, setup.networks, setup.engine(), config.ppo.unroll, self.devices)
        self.player = Player(setup.task, setup.networks, setup.engine(), setup.on_device(setup.reference))
        self.followed = self.devices.copy(setup.on_device(setup.followed, train))
        self.played = setup.on_device(setup.followed)
        self.key = jax.random.key(config.seed)
        parameters = setup.networks.init(jax.random.fold_in(self.key, 0), setup.observation)
        optimizer_state = ppo.optimizer(config.ppo).init(parameters)
        self.learner = self.devices.copy(ppo.Learner(parameters, optimizer_state, empty_statistics(setup.observation)))
        begin_key = self.devices.copy(jax.random.fold_in(self.key, 1))
        self.physics, self.carry = self.collector.begin(self.followed, begin_key, config.ppo.n_envs)
        self._update = jax.jit(lambda *args: ppo.update(setup.networks, config.ppo, *args, devices=self.devices))
        self._join = jax.jit(join_unrolls)
        self._totals: list[Totals] = []
        self._losses: list[dict[str, Any]] = []
        self._marks = {"start": time.monotonic(), "log": time.monotonic(), "steps": 0.0}
        self._evaluated_at = self._saved_at = time.monotonic()

    # one iteration

    def advance(self) -> None:
        """Collect one unroll and learn from it.

        Raises:
            RunError: when the loss is not finite.
        """
        config, progress = self.config, self.progress
        drawn = jax.random.split(jax.random.fold_in(self.key, 2 + progress.iteration), 1 + config.ppo.rounds)
        learn_key, *keys = self.devices.copy(list(drawn))
        unrolls = []
        for key in keys:
            self.physics, self.carry, unroll, totals = self.collector.collect(
                self.learner.policy, self.followed, self.physics, self.carry, key
            )
            unrolls.append(unroll)
            self._totals.append(totals)
        batch = unrolls[0] if len(unrolls) == 1 else self._join(unrolls)
        rows = ppo.shuffled_rows(config.ppo, config.seed, progress.iteration)
        inputs = (np.float32(self.learning_rate()), np.float32(self.kl_weight()), rows, learn_key)
        learner, losses = self._update(self.learner, batch, inputs)
        if not math.isfinite(float(losses["loss"])):
            raise RunError(self._dump(batch, losses))
        self.learner = learner
        progress.iteration += 1
        progress.steps += config.ppo.n_envs * config.ppo.unroll * config.ppo.rounds
        self._losses.append(losses)

    def learning_rate(self) -> float:
        """Step size now."""
        config = self.config.ppo
        if config.final_learning_rate is None:
            return config.learning_rate
        part = min(1.0, self.progress.steps / (config.schedule_steps or self.config.run.steps))
        swing = 0.5 * (1 + math.cos(math.pi * part))
        return config.final_learning_rate + (config.learning_rate - config.final_learning_rate) * swing

    def kl_weight(self) -> float:
        """Weight of the prior now: it rises linearly with environment steps."""
        config = self.config.ppo
        ramp = 1.0 if config.kl_ramp_steps <= 0 else min(1.0, self.progress.steps / config.kl_ramp_steps)
        return config.kl_weight * ramp

    def _dump(self, batch: Any, losses: Mapping[str, Any]) -> str:
        """Keep what made the loss non-finite; return what to tell."""
        path = self.folder.path / "non_finite.npz"
        tree = {"batch": batch, "losses": dict(losses), "learner": self.learner}
        flat = flatten(self.devices.whole(tree))
        if self.devices.chief:
            np.savez_compressed(path, **flat)  # type: ignore[arg-type]
        steps = self.folder.checkpoints.steps()
        saved = f"the last good checkpoint is at step {steps[-1]}" if steps else "no checkpoint was made yet"
        names = ", ".join(name for name, value in losses.items() if not math.isfinite(float(value)))
        return (
            f"{self.folder.path}: at step {self.progress.steps} the loss is not finite ({names}); {saved}; {path.name} "
            "holds the batch and the networks before it; a smaller ppo.learning_rate or clipped costs may help"
        )

    # the loop

    def run(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Train until the steps or the time of the config are used up, or `stop` says so; then evaluate and save."""
        run = self.config.run
        deadline = None if run.max_minutes is None else 60 * run.max_minutes
        stopped = False
        while self.progress.steps < run.steps and not stopped:
            self.advance()
            last = self.progress.steps >= run.steps
            stopped = self.devices.any(stop() or (deadline is not None and self.seconds() > deadline))
            if self.progress.iteration % max(1, run.log_every) == 0 or last or stopped:
                self._log_line(last or stopped)
        if self.devices.chief:
            self.folder.write_table()

    def seconds(self) -> float:
        """Wall time of the run so far."""
        return self.progress.seconds + time.monotonic() - self._marks["start"]

    def _log_line(self, final: bool) -> None:
        line = self._numbers()
        run, now = self.config.run, time.monotonic()
        # evaluations and checkpoints count in the line after them: the lines together last as long as the run
        self._marks["log"], self._marks["steps"] = now, float(self.progress.steps)
        due = run.evaluate_every_s > 0 and now - self._evaluated_at >= run.evaluate_every_s
        evaluated, saved = self.devices.chiefs(final or due, final or self._checkpoint_due(due))
        judged = None
        if evaluated and self.devices.chief:
            judged = self.evaluate()
            line |= {f"eval/{key}/{name}": v for key, group in judged.items() for name, v in group.items()}
            self._evaluated_at = time.monotonic()
        if self.devices.chief:
            self.folder.add_metrics(line)
            self.report(line)
        if saved:
            self.save(None if judged is None else score(judged["train"]))

    def _checkpoint_due(self, evaluated: bool) -> bool:
        run = self.config.run
        if run.checkpoint_every is not None:
            return self.progress.iteration % run.checkpoint_every == 0
        overdue = run.checkpoint_every_s > 0 and time.monotonic() - self._saved_at >= run.checkpoint_every_s
        return overdue or (evaluated and run.checkpoint_every_s > 0)

    def _numbers(self) -> dict[str, float | int]:
        """Means since the last line, for the log; everything unscaled and per control step."""
        totals = jax.tree.map(lambda *x: np.sum([np.asarray(v) for v in x], axis=0), *self._totals)
        losses = {k: float(np.mean([np.asarray(part[k]) for part in self._losses])) for k in self._losses[0]}
        n = self.config.ppo.n_envs * self.config.ppo.unroll * len(self._totals)
        wall = max(1e-9, time.monotonic() - self._marks["log"])
        episodes = max(1, int(totals.episodes))
        task = self.setup.task
        self._totals, self._losses = [], []
        return {
            "iteration": self.progress.iteration,
            "steps": self.progress.steps,
            "seconds": round(self.seconds(), 3),
            "control_steps_per_s": round((self.progress.steps - self._marks["steps"]) / wall, 1),
            "physics_steps_per_s": round(
                (self.progress.steps - self._marks["steps"]) * task.body.arena.n_substeps / wall, 1
            ),
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

    def evaluate(self) -> dict[str, dict[str, Any]]:
        """Numbers of train and held-out clips, the policy acting on its means."""
        found, parts = {}, parts_of(self.setup.task)
        for name, clips in (("train", self.train), ("test", self.test)):
            some = clips[: self.config.run.evaluate_clips]
            if some:
                policy = self.devices.local(self.learner.policy)
                played = self.player.play(policy, self.played, np.asarray(some))
                found[name] = summary(parts, played)
        return found

    # saving and restoring

    def state(self) -> dict[str, Any]:
        """Everything that going on needs."""
        return {
            "learner": self.learner,
            "carry": self.devices.whole(self.carry),
            "physics": self.devices.whole(self.collector.engine.save(self.physics)),
            "key": self.key,
            "iteration": np.int64(self.progress.iteration),
            "steps": np.int64(self.progress.steps),
            "seconds": np.float64(self.seconds()),
        }

    def save(self, judged: float | None = None) -> None:
        """Make a checkpoint; `judged` is its score, where it was evaluated."""
        state = self.state()
        if self.devices.chief:
            self.folder.checkpoints.save(self.progress.steps, state, judged)
        self._saved_at = time.monotonic()

    def go_on(self) -> None:
        """Go back to the last checkpoint; a run that never made one begins again."""
        if self.folder.checkpoints.steps():
            self.restore()
        elif self.devices.chief:
            self.folder.forget_after(0)

    def restore(self, which: str | int = "last") -> None:
        """Go back to a checkpoint of the run, and drop the metrics after it."""
        step, flat = self.folder.checkpoints.load(which)
        state = unflatten(flat, self.state(), str(self.folder.checkpoints.path(step)))
        devices = self.devices
        self.learner = devices.copy(jax.tree.map(jnp.asarray, state["learner"]))
        self.carry = devices.spread(Carry(*jax.tree.map(jnp.asarray, devices.part(state["carry"]))))
        self.physics = self.collector.engine.load(self.physics, devices.part(state["physics"]))
        self.key = state["key"]
        self.progress = Progress(int(state["iteration"]), int(state["steps"]), float(state["seconds"]))
        self._marks = {"start": time.monotonic(), "log": time.monotonic(), "steps": float(self.progress.steps)}
        if devices.chief:
            self.folder.forget_after(self.progress.iteration)


def join_unrolls(unrolls: list[tuple[ppo.Transition, Observation]]) -> tuple[ppo.Transition, Observation]:
    """Put several unrolls beside each other, as if more simulations had run; each keeps its own end."""
    transitions = jax.tree.map(lambda *x: jnp.concatenate(x, axis=1), *[unroll for unroll, _ in unrolls])
    return transitions, jax.tree.map(lambda *x: jnp.concatenate(x, axis=0), *[last for _, last in unrolls])


def verify(setup: Setup) -> None:
    """Refuse settings that cannot work before anything is compiled.

    Raises:
        ConfigError: with all that is wrong.
    """
    p, run = setup.config.ppo, setup.config.run
    faults = [
        f"ppo.{name}: expected at least 1, got {getattr(p, name)}"
        for name in ("n_envs", "unroll", "rounds", "epochs", "minibatches")
        if getattr(p, name) < 1
    ]
    if not faults and p.n_envs * p.unroll * p.rounds < p.minibatches:
        faults.append(
            f"ppo.minibatches: {p.minibatches} are more than the {p.n_envs * p.unroll * p.rounds} steps of an update"
        )
    for name, low, high in (("discount", 0, 1), ("gae_lambda", 0, 1), ("prior_correlation", 0, 0.9999)):
        if not low <= getattr(p, name) <= high:
            faults.append(f"ppo.{name}: expected {low} to {high}, got {getattr(p, name)}")
    if not p.learning_rate > 0 or (p.final_learning_rate is not None and p.final_learning_rate < 0):
        faults.append(f"ppo.learning_rate: expected more than 0, got {p.learning_rate} to {p.final_learning_rate}")
    if run.steps < 1:
        faults.append(f"run.steps: expected at least 1, got {run.steps}")
    if run.checkpoint_every is not None and (run.checkpoint_every < 1 or run.checkpoint_every % max(1, run.log_every)):
        faults.append(f"run.checkpoint_every: expected a multiple of run.log_every={run.log_every}")
    raise_all(ConfigError, "settings", faults)
    verify_division(engine_name(setup.config.physics.engine), devices_for(run.devices, p).count)


def learn(setup: Setup, folder: RunFolder, sets: tuple[list[int], list[int]], *, resume: bool) -> int:
    """Train, or go on training, until the steps are done or a signal comes; return the exit code."""
    if jax.process_index() > 0:
        return assist(setup, folder, sets, resume=resume)
    log_file = folder.path / "train.log"
    with ExitStack() as stack, reporting(log_file, append=True) as (log, stage), stop_on_signals() as stopped:
        trackers = open_trackers(setup.config, folder.path, stack)
        trainer = Trainer(setup, folder, *sets)
        if resume:
            trainer.go_on()
            log.info("going on from step %d", trainer.progress.steps)
        run = setup.config.run
        trainer.report = in_turn(training_bar(stage, run.steps, trainer.progress.steps), *trackers)
        trainer.run(lambda: bool(stopped()))
        draw_curves(folder.metrics(), folder.path / CURVES)
        if stopped():
            log.info("stopped by %s at step %d and saved; `track-mjx resume run=%s` goes on", stopped(),
                     trainer.progress.steps, folder.path)  # fmt: skip
        else:
            log.info("%s", closing_line(folder.metrics()[-1]))
    return 0


def assist(setup: Setup, folder: RunFolder, sets: tuple[list[int], list[int]], *, resume: bool) -> int:
    """The same as one of several processes that neither write nor tell."""
    with stop_on_signals() as stopped:
        trainer = Trainer(setup, folder, *sets)
        if resume:
            trainer.go_on()
        trainer.run(lambda: bool(stopped()))
    return 0


def in_turn(*reports: Report) -> Report:
    """One report that hands its line to several."""

    def report(line: Mapping[str, Any]) -> None:
        for each in reports:
            each(line)

    return report


def closing_line(line: Mapping[str, float | int]) -> str:
    """One sentence about the end of a training."""
    text = f"{line['steps'] / 1e6:.2f} M steps in {line['seconds']:.0f} s"
    for group, name in (("train", "train"), ("test", "held-out")):
        if f"eval/{group}/mean_body_error_mm" in line:
            text += (
                f"; {name} clips: {line[f'eval/{group}/mean_body_error_mm']:.2f} mm, "
                f"{100 * line[f'eval/{group}/unterminated_fraction']:.0f} % followed to the end"
            )
    return text
