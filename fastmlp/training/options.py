"""The options of training, each said once: its default, its check, a line that explains it, whether each member of a population may
have its own, and whether the record of a model tells it.

`train` and `train_many` repeat names and defaults in signatures that people read; a test compares these with the table here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from fastmlp import checks, labels
from fastmlp.kernels import optimizers, schedules
from fastmlp.kernels.activations import HIDDEN as HIDDEN_ACTIVATIONS
from fastmlp.kernels.activations import OUTPUTS
from fastmlp.kernels.losses import LOSSES
from fastmlp.literals import Activation, Init, Monitor, Optimizer, Output, Task
from fastmlp.networks.history import TrainingState
from fastmlp.networks.mlp import MLP
from fastmlp.networks.population import Population
from fastmlp.training.defaults import BATCH_SIZE, DECAYING, check_fitting, defaults_of

ACTIVATION: Activation = "relu"
INITS: tuple[Init, ...] = get_args(Init)
MONITORS: tuple[Monitor, ...] = get_args(Monitor)


class Option(NamedTuple):
    """What there is to know of an option."""

    name: str
    default: Any
    check: Callable[[str, Any], Any]  # of its name and a value; gives the value as it is used
    text: str
    own: Callable[[Any], bool] | None  # whether a value has one for each member; None if they have one in common
    recorded: bool  # in `made_with`: not the data, what the network itself says, and what changes no bit of it
    of: tuple[str, ...]  # the functions that have it


# -- checks ---------------------------------------------------------------------------------------------------------------------


def _as_given(_: str, value: Any) -> Any:
    """What is checked beside the data that it belongs to."""
    return value


def _one_of(names: Collection[str]) -> Callable[[str, Any], Any]:
    return lambda name, value: checks.one_of(name, value, names)


def _or_none(check: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    return lambda name, value: None if value is None else check(name, value)


def _init(name: str, value: Any) -> Any:
    return value if isinstance(value, MLP) else checks.one_of(name, value, INITS)


def _seed(name: str, value: Any) -> int:
    if value is None:  # that of a member
        raise ValueError(f"{name} must be whole numbers from 0 to below 2**64; got None")
    return checks.seed(name, value)


def _is_list(value: Any) -> bool:
    """A tuple is for the layers of one network."""
    return isinstance(value, list)


def _are_alternatives(value: Any) -> bool:
    return _is_list(value) or (isinstance(value, np.ndarray) and value.ndim > 0)


def _are_networks(value: Any) -> bool:
    if isinstance(value, str | MLP):
        return False
    if isinstance(value, Population) or (isinstance(value, list | tuple) and all(isinstance(one, MLP) for one in value)):
        return True
    raise ValueError(f"init must be a name, an MLP, a sequence of MLPs, or a Population; got {checks.shown(value)}")


# -- the table ------------------------------------------------------------------------------------------------------------------

BOTH, ONE, MANY = ("train", "train_many"), ("train",), ("train_many",)


def _about(
    check: Callable[[str, Any], Any],
    text: str,
    own: Callable[[Any], bool] | None = None,
    recorded: bool = True,
    of: tuple[str, ...] = BOTH,
) -> dict[str, Any]:
    return {"check": check, "text": text, "own": own, "recorded": recorded, "of": of}


def _names(known: Iterable[str]) -> str:
    return ", ".join(known)


@dataclass(frozen=True)
class Options:
    """How to train, once all is checked and nothing is left to a default but what follows from the network: its shape, and the
    learning rate. An option that each member has for itself is a list, or a range, with a value for each."""

    members: int | None = field(default=None, metadata=_about(checks.positive_int, "how many networks", recorded=False, of=MANY))
    rows: Any = field(default=None, metadata=_about(_as_given, "the rows that each network learns from", _is_list, of=MANY))
    halving: int | None = field(
        default=None, metadata=_about(checks.ways, "successive halving: the best one in so many goes on", of=MANY)
    )
    hidden: Any = field(
        default=None,
        metadata=_about(checks.hidden_sizes, "units of the hidden layers, by default 100; () for none", _is_list, recorded=False),
    )
    activation: Any = field(
        default=None,
        metadata=_about(
            checks.activation_names, f"of the hidden layers, one or one for each: {_names(HIDDEN_ACTIVATIONS)}", _is_list, False
        ),
    )
    output: Output | None = field(
        default=None, metadata=_about(_one_of(OUTPUTS), f"of the outputs: {_names(OUTPUTS)}", recorded=False)
    )
    loss: Any = field(default=None, metadata=_about(checks.loss, f"what is minimised: {_names(LOSSES)}", recorded=False))
    huber_delta: float | None = field(
        default=None,
        metadata=_about(
            checks.positive_number, "where the loss huber goes over from squared to absolute; 1 by default", recorded=False
        ),
    )
    bias: bool | None = field(
        default=None, metadata=_about(checks.yes_or_no, "whether layers have biases, by default", recorded=False)
    )
    task: Task | None = field(
        default=None, metadata=_about(_one_of(labels.TASKS), f"{_names(labels.TASKS)}; by default as y looks", recorded=False)
    )
    batch_size: Any = field(
        default=BATCH_SIZE, metadata=_about(_or_none(checks.positive_int), "rows of a batch; all if there is no number", _is_list)
    )
    optimizer: Optimizer = field(
        default="adam", metadata=_about(_one_of(optimizers.CODES), f"how steps are taken: {_names(optimizers.CODES)}")
    )
    learning_rate: Any = field(
        default=None,
        metadata=_about(checks.positive_number, "length of the steps; by default what suits the optimizer", checks.is_many),
    )
    momentum: Any = field(
        default=0.9, metadata=_about(checks.fraction, "of momentum and nesterov: what is kept of the step before", checks.is_many)
    )
    beta1: float = field(default=optimizers.BETA1, metadata=_about(checks.fraction, "of adam: what is kept of the mean of g"))
    beta2: float = field(default=optimizers.BETA2, metadata=_about(checks.fraction, "of adam: what is kept of the mean of g^2"))
    epsilon: float = field(default=optimizers.EPSILON, metadata=_about(checks.positive_number, "of adam: what is added to a root"))
    l2: Any = field(
        default=None, metadata=_about(checks.not_negative, "strength of the penalty on squared weights", checks.is_many)
    )
    l1: Any = field(
        default=0.0, metadata=_about(checks.not_negative, "strength of the penalty on magnitudes of weights", checks.is_many)
    )
    dropout: Any = field(
        default=0.0,
        metadata=_about(
            checks.dropout_shares,
            "share of hidden units that rows are trained without, one or one for each layer",
            _are_alternatives,
        ),
    )
    clip: Any = field(
        default=None, metadata=_about(_or_none(checks.positive_number), "length that no gradient exceeds", checks.is_many)
    )
    average: Any = field(
        default=0.0,
        metadata=_about(checks.fraction, "what an average of the weights keeps of itself in each step; 0 for none", checks.is_many),
    )
    schedule: Any = field(
        default=None, metadata=_about(_one_of(schedules.CODES), f"of the learning rate: {_names(schedules.CODES)}")
    )
    power_t: float = field(default=0.5, metadata=_about(checks.not_negative, "of the schedule invscaling: power of the rows seen"))
    decay: float | None = field(
        default=None,
        metadata=_about(
            _or_none(checks.part), "of exponential and plateau: what the rate is multiplied by, each epoch or on a plateau"
        ),
    )
    warmup: float = field(default=0.0, metadata=_about(checks.not_negative, "epochs in which the learning rate first rises from 0"))
    epochs: Any = field(default=None, metadata=_about(checks.positive_int, "passes over the rows, at most", checks.is_many))
    shuffle: bool = field(default=True, metadata=_about(checks.yes_or_no, "whether each epoch takes the rows in a new order"))
    target_loss: float | None = field(
        default=None, metadata=_about(checks.not_negative, "stop after an epoch with such a loss, or less")
    )
    tolerance: float | None = field(
        default=None,
        metadata=_about(checks.positive_number, "of lbfgs and levenberg-marquardt: stop at such a gradient, or such a short step"),
    )
    tol: float | None = field(
        default=None, metadata=_about(checks.not_negative, "stop when the loss no longer falls by so much, see n_iter_no_change")
    )
    n_iter_no_change: int = field(
        default=10, metadata=_about(checks.positive_int, "of tol: after how many epochs in a row without such progress")
    )
    validation: Any = field(
        default=None, metadata=_about(checks.rows_beside, "fraction of the rows to hold out and measure, or (X, y)")
    )
    patience: int | None = field(
        default=None, metadata=_about(checks.positive_int, "epochs to wait for a better validation loss; the best weights are kept")
    )
    monitor: Monitor = field(
        default="loss", metadata=_about(_one_of(MONITORS), f"what of the validation rows patience goes by: {_names(MONITORS)}")
    )
    sample_weight: Any = field(
        default=None, metadata=_about(_as_given, "weight of each row in the loss")
    )  # of members, its columns
    class_weight: Any = field(default=None, metadata=_about(_as_given, "factor for the rows of each class, or balanced"))
    standardize: bool | None = field(
        default=None, metadata=_about(checks.yes_or_no, "whether to train on columns of mean 0 and deviation 1")
    )
    init: Any = field(
        default="glorot",
        metadata=_about(_init, f"how weights begin: {_names(INITS)}; or a network to go on from", _are_networks),
    )
    keep_state: bool = field(
        default=False,
        metadata=_about(checks.yes_or_no, "whether to keep what a later training goes on from", recorded=False, of=ONE),
    )
    bootstrap: bool = field(
        default=False, metadata=_about(checks.yes_or_no, "whether each network sees a draw of the rows with replacement")
    )
    seed: Any = field(
        default=None, metadata=_about(_seed, "of the initial weights, the order, the rows held out", checks.is_many, False)
    )
    data_seed: int | None = field(
        default=None, metadata=_about(checks.seed, "of the order and the rows held out, if these have one of their own")
    )
    dtype: Any = field(
        default=None, metadata=_about(lambda _, value: checks.dtype(value), "what to compute in: float32, float64", recorded=False)
    )
    threads: int | None = field(
        default=None, metadata=_about(checks.positive_int, "how many threads; by default one for each core", recorded=False)
    )
    on_epoch: Callable[..., Any] | None = field(
        default=None, metadata=_about(checks.callback, "called after each epoch; true stops", recorded=False)
    )
    progress: bool = field(default=False, metadata=_about(checks.yes_or_no, "whether to show how far it is", recorded=False))

    @classmethod
    def checked(
        cls, given: Mapping[str, Any], x: NDArray[Any], state: TrainingState | None = None, *, members: bool = False
    ) -> Options:
        """The options among what a function was given, for inputs x (N, D): each checked, then one beside the other.

        What is left to a default takes it, that of its own rows for each member. `state` is what the training goes on from.
        """
        values = dict(DEFAULTS)
        for name, value in given.items():
            default = values.get(name, value)
            if value is not default and not (type(value) is type(default) is float and value == default):
                check, own = OPTIONS[name].check, OPTIONS[name].own
                values[name] = _each(name, value, check) if members and own is not None and own(value) else check(name, value)
        if values["patience"] is not None and values["validation"] is None:
            raise ValueError("patience needs validation: a fraction of the rows, or (X, y)")
        if values["monitor"] == "accuracy" and values["validation"] is None:
            raise ValueError("monitor='accuracy' needs validation: a fraction of the rows, or (X, y)")
        if values["schedule"] == "adaptive" and values["tol"] is None:
            raise ValueError("the schedule 'adaptive' needs tol: by how much the loss of an epoch has to fall")
        check_fitting(values, DEFAULTS)
        steady = values["keep_state"] or state is not None  # nobody knows the last epoch
        counts = [len(x)] if values["rows"] is None else [len(rows) for rows in values["rows"]]
        by_count = {n: defaults_of(values["optimizer"], values["learning_rate"] is not None, steady, n, x.shape[1]) for n in counts}
        for name in by_count[counts[0]]:
            if values[name] is None:
                each = [by_count[n][name] for n in counts]
                values[name] = each if len(set(each)) > 1 else each[0]
        if values["decay"] is not None and values["schedule"] not in DECAYING:
            known = " and ".join(map(repr, DECAYING))
            raise ValueError(f"decay is for the schedules {known}; the schedule is {values['schedule']!r}")
        epochs = values["epochs"] if checks.is_many(values["epochs"]) else [values["epochs"]]
        if not len(epochs):
            raise ValueError("epochs must have one value for each member; got none")
        if values["halving"] is not None:
            if checks.is_many(given.get("epochs")):
                raise ValueError(f"halving needs one number of epochs for all members; got {checks.shown(given['epochs'])}")
            values["epochs"] = max(epochs)
        before = 0
        if state is not None:
            if values["seed"] is None and values["data_seed"] in (None, state.data_seed):
                values["seed"], values["data_seed"] = state.seed, state.data_seed
            before = epochs_before(state, values["seed"], values["data_seed"])
        if values["seed"] is None:
            values["seed"] = checks.seed("seed", None)
        if values["warmup"] >= before + min(epochs):
            raise ValueError(f"warmup must be fewer epochs than epochs={min(epochs)}; got {values['warmup']:g}")
        options = cls.__new__(cls)
        vars(options).update(values)  # at once, as a training of a small network takes less than a millisecond
        return options

    def own(self) -> dict[str, Sequence[Any]]:
        """The options of which each member has a value of its own."""
        values = {name: getattr(self, name) for name, option in OPTIONS.items() if option.own is not None}
        values = {name: range(len(value)) if isinstance(value, Population) else value for name, value in values.items()}
        return {name: value for name, value in values.items() if isinstance(value, list | range)}

    def record(self, function: str) -> dict[str, Any]:
        """What is told later of a training by this function."""
        return {name: getattr(self, name) for name in RECORDED[function]}

    def of_group(self, own: Mapping[str, Any]) -> Options:
        """Those of members that have some in common."""
        return replace(self, **own) if own else self

    @property
    def most_epochs(self) -> int:
        """Of any member."""
        return max(self.epochs) if checks.is_many(self.epochs) else self.epochs

    def method(self, epochs: int, rows: int, before: int = 0) -> optimizers.Method:
        """The optimizer and its learning rate over so many epochs, each of so many rows, after those of an earlier training; as the
        kernels take them."""
        code, decay = schedules.CODES[self.schedule], self.decay or 0.0
        schedule = schedules.RateSchedule(code, self.warmup, epochs, before, rows, self.power_t, decay)
        method = optimizers.method_of(self.optimizer, schedule)
        clip = np.inf if self.clip is None else self.clip
        kept = {"beta1": self.beta1, "beta2": self.beta2, "epsilon": self.epsilon}
        return method._replace(**kept, l1=self.l1, clip=clip, average=self.average)


OPTIONS = {one.name: Option(one.name, one.default, **one.metadata) for one in fields(Options)}
DEFAULTS = {name: option.default for name, option in OPTIONS.items()}
RECORDED = {function: [name for name, one in OPTIONS.items() if one.recorded and function in one.of] for function in BOTH}


def explanation(name: str) -> str:
    """A line on an option, for those who give it in a command."""
    return OPTIONS[name].text


def _each(name: str, values: Any, check: Callable[[str, Any], Any]) -> Any:
    """The values of all members; a range, which may be longer than memory, by its ends."""
    if isinstance(values, Population):
        return values
    if isinstance(values, range):
        for end in values[:1], values[-1:]:
            [check(name, value) for value in end]
        return values
    return [check(name, value) for value in (values.tolist() if isinstance(values, np.ndarray) else values)]


# -- a training that goes on ----------------------------------------------------------------------------------------------------


def usable_state(init: Any, optimizer: Any, dtype: Any, average: Any) -> TrainingState | None:
    """The state of a network to go on from, if it has one that is of use to the optimizer, and to an average if one is wanted."""
    state = init.state if isinstance(init, MLP) else None
    if state is not None and not (
        isinstance(state, TrainingState)
        and state.theta.shape == init.theta.shape
        and state.moments.shape in ((2, init.theta.size), (3, init.theta.size))
    ):
        raise ValueError(f"init.state must be what keep_state=True keeps of such a network; got {checks.shown(state)}")
    if state is None or (state.optimizer, state.theta.dtype, len(state.moments) > 2) != (optimizer, dtype, average != 0):
        return None
    return state


def epochs_before(state: TrainingState | None, seed: int, data_seed: int | None) -> int:
    """How many epochs of the same training, in which rows come in one order, went before."""
    return state.epochs if state is not None and (seed, data_seed) == (state.seed, state.data_seed) else 0
