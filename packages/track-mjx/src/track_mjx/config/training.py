"""Settings of a training: task, networks, learning, and how long it runs.

Times are in seconds; a Gaussian's width ``sigma`` is in metres or radians.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from track_mjx._common.settings import setting
from track_mjx.config.world import ArenaConfig, PhysicsConfig, RandomizeConfig


@dataclass
class TaskConfig:
    """The task: observations, actions, rewards, and ends of episodes.

    A term is a function of `track_mjx.task.terms`; its parameters are under its name. ``term: NAME`` uses a
    function under another name, ``null`` drops a term.
    """

    kind: str = "imitation"
    """imitation (of the clips), reach (a target in space), velocity (commands of a joystick), or a task of your own
    file. Tasks without a reference take the poses they start in from the clips."""
    parameters: dict[str, Any] = field(default_factory=dict)
    """Parameters of the kind of task, by name; imitation has none."""
    goal: dict[str, Any] = field(default_factory=dict)
    """Observation terms of the goal, for the policy, in tasks without a reference; see `reference` for imitation."""
    window: list[int] = setting([1, 2, 3, 4, 5], ge=0)
    """Control steps ahead of the reference that the encoder receives."""
    reference: dict[str, Any] = field(default_factory=dict)
    """Observation terms for the encoder, in imitation."""
    proprioception: dict[str, Any] = field(default_factory=dict)
    """Observation terms for the decoder."""
    rewards: dict[str, Any] = field(default_factory=dict)
    """Reward terms: weight and parameters; kernels take sigma (m, rad) or the papers' exp_scale (model units)."""
    costs: dict[str, Any] = field(default_factory=dict)
    """Cost terms: weight and parameters; subtracted from the reward."""
    terminations: dict[str, Any] = field(default_factory=dict)
    """Conditions that end an episode early."""
    action: str = setting("affine", choices=("affine", "reference", "offset", "tanh_clip"))
    """affine ([-1, 1] to the control range), reference (for position servos, to the range that holds the clips' poses),
    offset (for position servos, added to the control that holds the reference's pose) or tanh_clip (clipped to the
    control range, as in the public code). Torques instead of positions: arena.actuators=torque. With offset the
    reference reaches the servos past the networks: a decoder alone does not move the body."""
    offset: float = setting(0.3, gt=0)
    """action=offset: the control that an action of 1 adds (rad for a servo of a hinge)."""
    offset_lead: int = setting(1, ge=0)
    """action=offset: control steps that the pose held is ahead of the present one; servos lag by 1 / (pi servo_hz)."""
    action_range: dict[str, list[float]] = field(default_factory=dict)
    """Actuator -> lowest and highest control that actions reach; empty: action=reference finds it from the clips."""
    pose_noise: float = setting(0.0, ge=0)
    """Standard deviation of the noise on the start pose (rad, model units)."""
    velocity_noise: float = setting(0.0, ge=0)
    """Standard deviation of the noise on the start velocity (rad/s, model units/s)."""
    start_at_beginning: float = setting(0.0, ge=0, le=1)
    """Share of episodes that start at the first frame; the others start anywhere among `start_frames`."""
    start_frames: int | None = setting(None, ge=1)
    """Episodes of training start in one of so many first frames (at the control rate); empty: anywhere in the clip."""
    episode_s: float | None = setting(None, gt=0)
    """Episodes end after this time, those of imitation only in training; empty: with their clip."""
    clip_sampling: str = setting("uniform", choices=("uniform", "failures"))
    """Clips of new episodes: uniform, or failures (those on which episodes end early are drawn more often)."""
    clip_s: float | None = setting(None, gt=0)
    """Cut the clips into pieces of this length, s; empty: they stay as they are."""
    clip_stride_s: float | None = setting(None, gt=0)
    """Train also on windows of `clip_s` that start this often, and so overlap; none has a frame of a held-out clip."""
    regions: dict[str, list[str]] = field(default_factory=dict)
    """Region -> bodies whose position errors are reported; empty: all bodies that move, as one."""
    smoothing_s: float = setting(0.0, ge=0)
    """Gaussian smoothing of the reference in time (standard deviation), before velocities are recomputed; 0: none."""


@dataclass
class NetworkConfig:
    """Intention network and critic."""

    encoder: list[int] = setting([512, 512, 512], ge=1)
    """Widths of the encoder's hidden layers."""
    decoder: list[int] = setting([512, 512, 512], ge=1)
    """Widths of the decoder's hidden layers."""
    critic: list[int] = setting([512, 512, 512], ge=1)
    """Widths of the critic's hidden layers."""
    latent: int = setting(16, ge=0)
    """Dimensions of the intention; 0: no bottleneck, the decoder receives the reference itself."""
    initial_latent_std: float = setting(1.0, gt=0)
    """Standard deviation of the intention of an untrained network; small: the decoder sees the reference from the
    start, and not mostly noise."""
    decoder_cell: str = setting("none", choices=("none", "gru"))
    """gru: a gated recurrent unit after the decoder's hidden layers, as wide as the last of them. Its state is 0 at the
    start of an episode; it is learned through whole unrolls (ppo.shuffle=unrolls)."""
    layer_norm: bool = True
    """Layer normalisation after each hidden layer of encoder and decoder."""
    min_std: float = setting(0.001, ge=0)
    """Smallest standard deviation of an action before the hyperbolic tangent."""
    initial_std: float = setting(0.7, gt=0)
    """Standard deviation of the actions of an untrained network, before the hyperbolic tangent."""
    action_factor: float = setting(1.0, ge=0)
    """Factor on the initial weights of the layer that puts out actions; small: an untrained network does not move."""


@dataclass
class DecoderConfig:
    """A decoder that was trained in another run, and how long decisions are held."""

    run: str | None = None
    """Folder of a run whose decoder is used; body, physics, proprioception and actions are then those of that run."""
    checkpoint: str = "best"
    """best, last, or the number of a checkpoint of that run."""
    mode: str = setting("frozen", choices=("frozen", "learnable", "random", "none"))
    """frozen (never changed), learnable (trained further), random (of the same shape, newly drawn), or none: the policy
    drives the actuators itself, with all else from the run, for comparison."""
    policy: str | None = setting(None, choices=("latent", "action"))
    """latent: the policy puts out latents, and the decoder belongs to the environment; action: encoder and decoder are
    one policy of actions, as in paper B. Empty: latent for frozen, action for learnable and random."""
    hold_s: float = setting(0.0, ge=0)
    """Time for which a decision (a latent; an action where there is no decoder) is held, a whole number of control
    steps; 0: one step. Rewards are averaged over it, and ppo.unroll and ppo.discount count decisions. With
    policy=action only the noise of the latent is held."""
    latent_span: float = setting(3.0, gt=0)
    """policy=latent: latents reach from -span to span, in standard deviations where they are whitened."""
    whiten: bool = True
    """Scale latents to mean 0 and standard deviation 1 on the train clips of the run."""

    @property
    def acts(self) -> str:
        """What the policy puts out: latent, action (through a decoder that is part of it), or direct."""
        if self.run is None or self.mode == "none":
            return "direct"
        return self.policy or ("latent" if self.mode == "frozen" else "action")

    def hold_steps(self, ctrl_dt_s: float) -> int:
        """Control steps for which a decision, or with policy=action the noise of a latent, is held."""
        return max(1, round(self.hold_s / ctrl_dt_s))

    def decision_steps(self, ctrl_dt_s: float) -> int:
        """Control steps of a decision."""
        return 1 if self.acts == "action" else self.hold_steps(ctrl_dt_s)


@dataclass(unsafe_hash=True)
class PpoConfig:
    """Proximal policy optimisation."""

    n_envs: int = setting(4096, ge=1)
    """Simulations side by side."""
    unroll: int = setting(20, ge=1)
    """Control steps of each simulation between updates."""
    rounds: int = setting(1, ge=1)
    """Unrolls of all simulations collected for each update."""
    batch_size: int | None = setting(None, ge=1)
    """Unrolls in each minibatch; `rounds` then follows, so that all are filled. Empty: all collected are divided."""
    shuffle: str = setting("steps", choices=("steps", "unrolls"))
    """What a minibatch is drawn from: single control steps, or whole unrolls (paper B, algorithm 2)."""
    epochs: int = setting(4, ge=1)
    """Passes over the collected steps in each update."""
    minibatches: int = setting(16, ge=1)
    """Parts each pass is cut into."""
    learning_rate: float = setting(1e-4, gt=0)
    """Step size of Adam."""
    final_learning_rate: float | None = setting(None, ge=0)
    """Step size at the end; empty: constant. In between it falls along half a cosine over `schedule_steps`."""
    schedule_steps: int | None = setting(None, ge=1)
    """Environment steps the schedule spans; empty: run.steps."""
    discount: float = setting(0.95, ge=0, le=1)
    """Discount of a control step."""
    gae_lambda: float = setting(0.95, ge=0, le=1)
    """Lambda of generalised advantage estimation."""
    clip: float = setting(0.2, gt=0)
    """Clipping of the probability ratio."""
    value_weight: float = setting(0.5, ge=0)
    """Weight of the critic's loss."""
    entropy_weight: float = setting(0.01, ge=0)
    """Weight of the action's entropy."""
    kl_weight: float = setting(0.1, ge=0)
    """Weight of the intention's divergence from its prior, summed over dimensions."""
    kl_ramp_steps: int = setting(0, ge=0)
    """Environment steps over which that weight rises from 0."""
    prior_correlation: float = setting(0.95, ge=0, le=0.9999)
    """Correlation alpha of the AR(1) prior; 0: a standard Gaussian at every step."""
    max_gradient_norm: float = setting(1.0, gt=0)
    """Gradients longer than this are shortened."""
    normalize_advantages: bool = True
    """Advantages of each minibatch get mean 0 and standard deviation 1."""
    reward_scale: float = setting(1.0, gt=0)
    """Factor on rewards before learning; logs show them unscaled."""

    @property
    def collected_rounds(self) -> int:
        """Unrolls of all simulations for each update: ceil(batch_size minibatches / n_envs) (paper B, algorithm 2)."""
        return self.rounds if self.batch_size is None else -(-self.batch_size * self.minibatches // self.n_envs)

    @property
    def collected_unrolls(self) -> int:
        """Unrolls collected for each update."""
        return self.n_envs * self.collected_rounds

    @property
    def minibatch_items(self) -> int:
        """Unrolls or single steps, as `shuffle` says, in a minibatch."""
        steps = 1 if self.shuffle == "unrolls" else self.unroll
        if self.batch_size is not None:
            return self.batch_size * steps
        return self.collected_unrolls * steps // self.minibatches

    @property
    def minibatch_samples(self) -> int:
        """Control steps in a minibatch."""
        return self.minibatch_items * (self.unroll if self.shuffle == "unrolls" else 1)


@dataclass
class CloningConfig:
    """A beginning without rewards: the networks learn to put out the servo angles of the reference.

    They act meanwhile, so that they learn in the states that they lead to (DAgger, Ross et al. 2011).
    """

    steps: int = setting(0, ge=0)
    """Environment steps of it, before those of PPO; for position servos and task.action=affine or reference."""
    lead: int = setting(2, ge=0)
    """Control steps that the angles are ahead of the present one; servos lag by 1 / (pi servo_hz)."""
    learning_rate: float = setting(1e-3, gt=0)
    """Step size of Adam."""


@dataclass
class DistributedConfig:
    """Several processes that train one controller together; each runs the same command."""

    on: bool = False
    """There are several; under Slurm or Open MPI nothing else needs to be set."""
    coordinator: str | None = None
    """HOST:PORT of process 0, which all can reach."""
    processes: int | None = None
    """How many there are."""
    process: int | None = None
    """Number of this one, from 0; process 0 writes the run."""


@dataclass
class RunConfig:
    """How long, and what is kept."""

    steps: int = setting(10_000_000, ge=1)
    """Environment (control) steps in all."""
    max_minutes: float | None = setting(None, gt=0)
    """Wall time after which a start of the training saves and ends, compilation included; `resume` continues it."""
    resume: str = setting("auto", choices=("auto", "never"))
    """What happens in the folder of a run with the same settings: auto continues it, never refuses it."""
    test_fraction: float = setting(0.2, ge=0, lt=1)
    """Part of the clips held out, by clip."""
    split_seed: int = setting(0, ge=0)
    """Seed of that choice."""
    select: Any = field(default_factory=list)
    """Clips of the run, trained on and held out, by patterns: of names (reach*), or of a label (condition:fast). A list
    of these: those of one label are alternatives, and every label must fit. Empty: all clips of the file."""
    train_clips: int | None = setting(None, ge=1)
    """Train on so many of the other clips; a smaller number chooses some of those of a larger one. Empty: on all."""
    evaluate_every_s: float = setting(30.0, ge=0)
    """Wall time between evaluations on train and held-out clips; 0: only at the end."""
    evaluate_clips: int = setting(32, ge=1)
    """Most clips of each set that those evaluations run."""
    evaluate_s: float | None = setting(10.0, gt=0)
    """Longest part of a clip that they play, from its beginning, s; empty: all of it."""
    checkpoint_every_s: float = setting(60.0, ge=0)
    """Wall time between checkpoints; 0: only at the end."""
    checkpoint_every: int | None = setting(None, ge=1)
    """Iterations between checkpoints, in place of wall time: repeatable."""
    film_every_s: float | None = setting(None, gt=0)
    """Wall time between films of a held-out clip, of the last checkpoint, drawn by another process into RUN/films and
    logged with `wandb` and `tensorboard`; empty: none."""
    log_every: int = setting(10, ge=1)
    """Iterations between lines of metrics."""
    keep_checkpoints: int = setting(3, ge=1)
    """Latest checkpoints kept, in addition to the best."""
    wandb: str | None = None
    """Weights & Biases project to log to."""
    tensorboard: bool = False
    """Write TensorBoard files too."""
    devices: int | None = setting(None, ge=1)
    """JAX devices that learn, in each process; empty: all. ppo.n_envs and minibatches must be divisible by them."""
    distributed: DistributedConfig = field(default_factory=DistributedConfig)


@dataclass
class TrainConfig:
    """Settings of `track-mjx train`."""

    clips: str = ""
    """A mimic.reference_clips file, as `stac-mjx fit` writes it."""
    out: str | None = None
    """Folder of the run: new, or that of a run with the same settings, which is continued."""
    seed: int = setting(0, ge=0, le=2**31 - 1)
    """Seed of everything random in learning and physics."""
    arena: ArenaConfig = field(default_factory=ArenaConfig)
    physics: PhysicsConfig = field(default_factory=PhysicsConfig)
    randomize: RandomizeConfig = field(default_factory=RandomizeConfig)
    task: TaskConfig = field(default_factory=TaskConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    ppo: PpoConfig = field(default_factory=PpoConfig)
    cloning: CloningConfig = field(default_factory=CloningConfig)
    run: RunConfig = field(default_factory=RunConfig)
