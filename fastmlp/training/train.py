"""train: one network, from options and data to the end of its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from numpy.typing import ArrayLike

from fastmlp import arrays, checks
from fastmlp.kernels import optimizers
from fastmlp.literals import Activation, Dtype, Init, Loss, LossFunction, Monitor, Optimizer, Output, Schedule, Task
from fastmlp.networks.mlp import MLP
from fastmlp.threads import thread_count
from fastmlp.training.data import Dataset
from fastmlp.training.defaults import BATCH_SIZE, default_rate, wanted_dtype
from fastmlp.training.initial import ask_what_is_meant, check_huber_delta, dropped_by, first_thetas, is_state_of, untrained
from fastmlp.training.loss_check import check_custom_loss
from fastmlp.training.one_network import Stopping, check_monitor
from fastmlp.training.options import Options, epochs_before, usable_state
from fastmlp.training.outcome import OnEpoch, bring_to_end
from fastmlp.training.passes import Batches
from fastmlp.training.scaling import unfold
from fastmlp.training.streaming import train_streamed
from fastmlp.training.trainers import check_solvable, trainer_of


@checks.takes_options()
def train(
    X: ArrayLike | None = None,
    y: ArrayLike | None = None,
    *,
    batches: Batches | None = None,
    hidden: int | Sequence[int] | None = None,
    activation: Activation | Sequence[Activation] | None = None,
    output: Output | None = None,
    loss: Loss | LossFunction | None = None,
    huber_delta: float | None = None,
    bias: bool | None = None,
    task: Task | None = None,
    batch_size: int | None = BATCH_SIZE,
    optimizer: Optimizer = "adam",
    learning_rate: float | None = None,
    momentum: float = 0.9,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    l2: float | None = None,
    l1: float = 0.0,
    dropout: float | Sequence[float] = 0.0,
    clip: float | None = None,
    average: float = 0.0,
    schedule: Schedule | None = None,
    power_t: float = 0.5,
    decay: float | None = None,
    warmup: float = 0.0,
    epochs: int | None = None,
    shuffle: bool = True,
    target_loss: float | None = None,
    tolerance: float | None = None,
    tol: float | None = None,
    n_iter_no_change: int = 10,
    validation: float | tuple[ArrayLike, ArrayLike] | None = None,
    patience: int | None = None,
    monitor: Monitor = "loss",
    sample_weight: ArrayLike | None = None,
    class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
    standardize: bool | None = None,
    init: Init | MLP = "glorot",
    keep_state: bool = False,
    bootstrap: bool = False,
    seed: int | None = None,
    data_seed: int | None = None,
    dtype: Dtype | None = None,
    threads: int | None = None,
    on_epoch: OnEpoch | None = None,
    progress: bool = False,
) -> MLP:
    """Train a multilayer perceptron.

    The defaults belong together: on some fifty public data sets they make a network about as good as scikit-learn's default, or
    better, at least seven times sooner (`pytest benchmarks/test_quality.py`).

    Parameters
    ----------
    X : (N, D)
        Rows of inputs. float32 is computed in float32 throughout, anything else in float64. What is no array but is read by slices,
        as data sets of HDF5 and Zarr and arrays of Dask, is never read whole, but as `batches` are; y may be of that kind as well.
    y : (N,) or (N, K)
        Integers, booleans or strings make a classifier; floats a regressor, of K outputs if y has K columns.
    batches : callable or iterable
        In place of X and y, rows that never are in memory together: a function without arguments that gives the batches, or what
        can be iterated again, such as a list or a DataLoader; no generator. A batch is (X, y) or (X, y, sample_weight), of any
        number of rows, which have to be the same in each pass. A first pass measures them, then each epoch asks for them again. The
        steps are from `batch_size` rows, however these are cut, and without shuffling they are those from the same rows as an
        array. Shuffled are rows within a buffer: of as many whole batches as 32 MB hold, at least one; of what is read by slices,
        also the slices. Of a fraction for `validation`, each row is held out by chance, by its place, so that all have to come in
        the same order; rows to measure are kept in memory. Not for solvers, nor batch_size=None, bootstrap and keep_state.
    hidden : int or sequence of int
        Units of the hidden layers, by default (100,); () for none.
    activation : str or sequence of str
        Of the hidden layers, one name or one for each: "relu" (the default), "leaky_relu", "elu", "gelu", "gelu_tanh" (its
        approximation), "silu", "softplus", "sigmoid", "tanh", "identity". The smooth ones begin more slowly than "relu", for which
        the other defaults are: give them more epochs, or init="he".
    output : str
        Of a classifier "sigmoid" or "softmax", of a regressor also "identity", or "softplus" and "exp", which are positive. By
        default one sigmoid unit for two classes, softmax for more, identity for a regressor.
    loss : str or function
        "cross_entropy" (in nats) and "cross_entropy_bits", for sigmoid and softmax outputs; "squared_error", half of it,
        "absolute_error" and "huber", summed over the outputs; "poisson", for positive outputs. The default is
        cross_entropy for sigmoid and softmax outputs, squared_error for the others. Where targets are standardised, it is that of
        the standardised ones. Or a function (prediction, target) -> (loss, gradient) of numbers, of Numba or for it: what one
        output costs, and the derivative of that by the prediction, the output after its activation. A sample costs the sum over
        its outputs. Numbers that the function takes from around it are those of when it was first given. Its gradient is compared
        with differences of its loss before the first epoch. An error that it raises counts as a loss that is not finite.
    huber_delta : float
        Of "huber": how far an output may be from its target before the loss goes over from squared to absolute; by default 1, or
        that of the network to go on from. Where targets are standardised, it is measured in their deviations.
    bias : bool
        Whether the layers have biases; yes by default.
    task : str
        "classification" or "regression", where the type of y says otherwise.
    batch_size : int or None
        Rows of a batch: 1 for per-sample updates, None for all. The last batch of an epoch may be smaller.
    optimizer : str
        "sgd" (plain gradient descent), "momentum", "nesterov"; or one of those whose steps are about as long as the rate, however
        steep the loss is: "adam", "adamw", "nadam", "rmsprop" (rho 0.9). Or a solver, whose steps are from all rows and find their
        length by themselves, for networks that are to come as near to the least loss as they can, in tens of iterations, which
        then are the epochs: "lbfgs" (limited memory 10, Nocedal and Wright 2006, chapters 3 and 7), and "levenberg-marquardt"
        (Madsen, Nielsen and Tingleff 2004, scaled as by Moré 1978) for squared_error and up to 2048 parameters, in float64.
    learning_rate : float
        By default for adam and its kin 0.006, and where the narrowest hidden layer has H < 100 units sqrt(100 / H) times as much,
        at most 0.06; 0.1 for sgd, 0.01 for momentum and nesterov, and where the widest hidden layer has H > 16 units 16 / H of
        that.
    momentum : float
        Of "momentum" and "nesterov": from 0 to below 1.
    beta1, beta2, epsilon : float
        Of "adam", "adamw" and "nadam": how much of the means of the gradient and of its squares is kept, from 0 to below 1; and
        what is added to the root of the latter.
    l2 : float
        Adds l2 / 2 times the sum of the squared weights (not biases) to what is minimised; with adamw, each step takes l2 times
        the rate of each weight instead. The losses in `history` are without it. By default, for adam and its kin with their default
        learning rate, and for solvers, 2 / N, but at most 0.01 (which makes the prior of each weight a normal distribution of
        variance 1/2), with adamw 0.01; else 0.
    l1 : float
        Adds l1 times the sum of the magnitudes of the weights (not biases) to what is minimised; of weights that are 0 its gradient
        is 0. The losses in `history` are without it.
    dropout : float or sequence of float
        The share, from 0 to below 1, of the units of each hidden layer that each row is trained without, one for all layers or one
        for each; the others are multiplied by 1 / (1 - share) meanwhile (Srivastava et al. 2014). Which ones these are depends on
        seed, epoch, row and unit alone. The losses in `history` are those of the rows as they were seen, without these units.
    clip : float
        The length that the gradient of a batch's mean loss is cut down to where it is longer (Pascanu, Mikolov and Bengio 2013);
        that of l1 and l2 comes on top.
    average : float
        What is kept, in each step, of an exponential average of the parameters, such as 0.99, from which the bias of its
        beginning is taken as in adam: the network becomes this average, and validation measures it. 0 for none.
    schedule : str
        How the learning rate changes from epoch to epoch: "constant", or after `warmup` falling to 0: "cosine" (half a period,
        Loshchilov and Hutter 2017), "linear"; or to a hundredth: "exponential". The rate of an epoch is that of its middle; but
        where `decay` is given to "exponential", the first epoch after the warmup has the full rate, and each one `decay` times that
        of the one before. "plateau" multiplies the rate by `decay` when more than `n_iter_no_change` epochs in a row did not bring
        the validation loss (see `monitor`), or without validation the loss with its penalties, below the least one before, where
        `tol` is given by more than that; until it is at most 1e-6. It ends no training. Or as in scikit-learn: "invscaling", where
        it is divided by (1 + rows seen in epochs before)^power_t, and "adaptive", where it is divided by 5 instead of stopping by
        `tol`, until it is at most 1e-6. By default cosine for adam and its kin with their default learning rate, else constant.
    power_t : float
        Of "invscaling".
    decay : float
        Of "exponential", and of "plateau", where it is 0.1 by default, as in PyTorch and Keras: between 0 and 1.
    warmup : float
        Epochs in which the learning rate first rises linearly from 0.
    epochs : int
        Passes over the rows, at most. By default for adam and its kin 30 (1000 / N)^(1/8), of which D > 64 columns need only a
        share of sqrt(64 / D); but at least 6, and as many as make 200 batches of 32 rows, up to 200. For the others 200, for
        levenberg-marquardt 100.
    shuffle : bool
        Whether batches are drawn in a new order in each epoch. A full batch has no order.
    target_loss : float
        Stops after an epoch whose loss, as `history` has it, is at most this.
    tolerance : float
        Of solvers: stop when no part of the gradient is larger, or a step is no longer than so many times theta; by default 1e-8,
        in float32 1e-5. They also stop where no step lowers the loss.
    tol : float
        Stops after more than `n_iter_no_change` epochs in a row whose loss, with its penalties, was not below the least one
        before by at least this.
    n_iter_no_change : int
        Of `tol`, and of the schedule "plateau": so many such epochs are let pass.
    validation : float or (X, y)
        Rows to measure after each epoch: a fraction to hold out (of each class alike), or rows of their own.
    patience : int
        Stops when the validation loss has not improved for so many epochs, and keeps the best weights: those of the first best
        epoch.
    monitor : str
        What of the validation rows `patience` and the schedule "plateau" go by: "loss", or of a classifier "accuracy", the share of
        rows whose class it tells, as `score` has it. Then `history` has both.
    sample_weight : (N,)
        The weight of each row in the loss; scaled to a mean of 1, so that the learning rate keeps its meaning.
    class_weight : mapping or "balanced"
        A factor for the rows of each class (1 where it names none); "balanced" gives all classes the same sum.
    standardize : bool
        Whether the network is trained on (X - mean) / deviation, and a regressor of identity output on (y - mean) / deviation, of
        the rows that are trained on; the scaling is then folded into the first and the last layer, so that the network takes X
        and speaks of y as they are. By default yes, unless bias=False.
    init : str or MLP
        "glorot" (uniform, Glorot and Bengio 2010), "he" (normal, He et al. 2015), both with biases of 0; "normal" (0.1 N(0, 1)) and
        "uniform" (U[0, 1)), biases too; or a network to go on from, whose sizes, activations, output and classes are taken over.
    keep_state : bool
        Whether the network keeps (and saves) what the optimizer knows. A training with such a network for `init`, and with the same
        data and options, goes on as if it had never stopped: 5 and 5 epochs give the same bits as 10, if the schedule is
        "constant", "invscaling", or "exponential" with `decay`. It is constant by default, since nobody knows the last epoch (the
        others fall within each training, "adaptive" and "plateau" from the rate that it is given), and the seed is that of the
        network. Where the optimizer or the dtype is another one, the state is not used.
    bootstrap : bool
        Whether each row counts as often as it comes up in as many draws with replacement (bagging, Breiman 1996).
    seed : int
        Of the initial weights, the order, the held-out rows and the bootstrap. The same seed gives the same bits, for any number
        of threads.
    data_seed : int
        Of the order and the held-out rows, where these are not to depend on `seed`.
    dtype : "float32" or "float64"
        What to compute in.
    threads : int
        How many threads a batch may be shared out to, where it is large enough to gain by it; by default one for each core.
    on_epoch : callable
        Called after each epoch with (epoch, loss, validation loss or None), epochs counted from 0; returning True stops. See
        `fastmlp.log_csv` and `fastmlp.log_json`, which make one that writes to a file.
    progress : bool
        Whether to show the epoch, the loss and the time that is left on stderr, with a bar where tqdm is installed; and what
        compiles, which on a terminal or in a notebook is told in any case.

    Returns
    -------
    MLP
        With its `history`, and with `made_with`, which has the seed that was drawn if none is given. After Ctrl-C, the network as
        it was after the last whole epoch, with a RuntimeWarning.

    Raises
    ------
    ValueError
        If an argument is not as described; X, y or the weights hold NaN or infinity; options contradict each other, or need rows
        that are in memory; or batches are other ones in a later pass.
    DivergedError
        If the loss stops being finite.
    """
    given = locals()
    if batches is not None or arrays.is_sliced(X):
        return train_streamed(given)
    if X is None or y is None:
        missing = "X and y" if X is None and y is None else "X" if X is None else "y"
        raise ValueError(f"train needs X and y, or batches; {missing} {'are' if X is y else 'is'} missing")
    wanted = wanted_dtype(optimizer, dtype)
    x = arrays.matrix("X", X, wanted)
    y = arrays.as_array("y", y)
    if y.ndim:
        arrays.same_length("y", y, len(x))
    state = usable_state(init, optimizer, wanted or arrays.floating_dtype(x), average)
    options = Options.checked(given, x, state)
    network = untrained(x.shape, wanted or arrays.floating_dtype(x), y, options, init, arrays.column_names(X))
    check_huber_delta(options, [network])
    check_solvable(options.optimizer, network)
    check_monitor(options.monitor, network)
    dataset = Dataset(x, y, sample_weight, options, [options.seed], by_member=False)
    data = dataset.learned(network, options.batch_size, dataset.own([0])[0])
    ask_what_is_meant(network, y, options)
    if isinstance(init, str):
        first_thetas(init, network, [options.seed], network.theta[None])
    elif state is not None and is_state_of(state, init, data.inputs, data.outputs):
        network.theta = state.theta.copy()
    else:
        network.theta = unfold(network, init.theta[None], data.inputs, data.outputs)[0]
    check_custom_loss(network, network.theta, x, data)
    before = epochs_before(state, options.seed, options.data_seed)
    rate = default_rate(optimizer, network) if options.learning_rate is None else options.learning_rate
    rule = optimizers.Rule(options.method(options.epochs, len(data.rows), before), rate, options.momentum, options.l2)
    descent = trainer_of(
        network, data, rule, Stopping.of(options, options.epochs), options.batch_size, thread_count(options.threads), state,
        dropped_by(options, network, [options.seed]),
    )  # fmt: skip
    bring_to_end(descent, options, rate, y, data.inputs, data.outputs, len(x))
    return network
