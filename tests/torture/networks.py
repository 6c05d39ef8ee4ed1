"""Random networks beside a reference in plain NumPy, with memory behind which nothing can be touched.

With NUMBA_BOUNDSCHECK=1 (and a NUMBA_CACHE_DIR of its own) kernels check each place that they read and write.
"""

import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import fastmlp
from benchmarks import reference
from fastmlp.kernels import online
from fastmlp.networks import derivatives, layout, objective, prediction
from tests.torture import attack
from tests.torture.configurations import ADAPTIVE, ODD, WITH_KINKS, Problem, anything, as_given, pick, problem, steps
from tests.torture.guarded import guarded

KINDS = {"asked": 0.4, "trained": 0.25, "any_training": 0.12, "many": 0.15, "odd": 0.08}
WILD = 1e4  # parameters of a training that runs away, where rounding errors do too
LARGE = 1e30  # what float32 may make infinite, on the way to it
ROUNDING = 64  # units in the last place by which a reference is disturbed, to see how it answers


def _guarded_copy(array: np.ndarray) -> np.ndarray:
    copy = guarded(array.nbytes).view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def _guarded_arrays(dtype: Any, *sizes: int) -> list[np.ndarray]:
    """In the place of layout.aligned: each array ends before a page that nobody may touch."""
    arrays = [guarded(int(size) * np.dtype(dtype).itemsize).view(dtype) for size in sizes]
    for array in arrays:
        array[:] = 0
    return arrays


class Attack(attack.Base):
    """Networks as they are asked, trained, many at once, and given nonsense."""

    LIMIT = 600.0  # where kernels are to be compiled

    def __init__(self, scratch: Path) -> None:
        super().__init__(scratch)
        layout.aligned = objective.aligned = prediction.aligned = derivatives.aligned = _guarded_arrays
        memory_of = online.online_memory
        online.online_memory = lambda *shape: memory_of(*shape)._replace(memory=_guarded_copy(memory_of(*shape).memory))
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="y holds")
        np.seterr(all="ignore")  # in the reference

    def case(self, rng: np.random.Generator) -> Counter[str]:
        """One configuration."""
        return getattr(self, f"_{rng.choice(list(KINDS), p=list(KINDS.values()))}")(rng)

    # -- a network that is asked ---------------------------------------------------------------------------------------------

    def _asked(self, rng: np.random.Generator) -> Counter[str]:
        given, dtype = _problem(rng)
        model, each, row = _model(given), _disturbed(given, rng), int(rng.integers(len(given.X)))
        X = as_given(rng, given.X)
        if np.isfinite(answers := reference.predict(given.network, given.theta, given.X)).all() and answers.max() < WILD:
            outputs = model.predict(X) if given.classes is None else model.predict_proba(X)
            told = Told("outputs", given, dtype)
            _compare(told, outputs, [_columns(reference.predict(p.network, p.theta, p.X), outputs) for p in each])
            alone = model.predict(given.X[row : row + 1])
            if not np.array_equal(alone[0], model.predict(given.X)[row]):
                raise attack.Found(f"the answer to row {row} depends on those beside it: {given.network}")
        more = {"threads": pick(rng, (1, 2, 3)), "lay_out": rng.random() < 0.5}
        value, gradient = fastmlp.Objective(model, X, given.y, given.weights, **more).value_and_gradient()
        _compare(Told("loss", given, dtype), value, [reference.loss(p.network, p.theta, p.X, p.targets, p.weights) for p in each])
        _compare(
            Told("gradient", given, dtype),
            gradient,
            [reference.backward(p.network, p.theta, p.X, p.targets, p.weights) for p in each],
        )
        self._differentiated(rng, model, given, row)
        each = [p._replace(X=p.X[row : row + 1], targets=p.targets[row : row + 1], weights=None) for p in each]
        rate, before = 0.01, model.theta.copy()
        losses = [reference.loss(p.network, p.theta, p.X, p.targets) for p in each]
        if not abs(losses[0]) < LARGE:
            return Counter(wild=1)
        loss = model.update(given.X[row], given.y[row], rate)
        _compare(Told("the loss of an update", given, dtype), loss, losses)
        step = (before.astype(np.float64) - model.theta) / rate  # a difference of numbers that are rounded
        slack = 4 * float(np.maximum(np.abs(before), np.abs(model.theta)).max() * np.finfo(dtype).eps) / rate
        told = Told("an update", given, dtype, slack)
        _compare(told, step, [reference.backward(p.network, p.theta, p.X, p.targets) for p in each])
        return Counter(asked=1)

    def _differentiated(self, rng: np.random.Generator, model: fastmlp.MLP, given: Problem, row: int) -> None:
        """Products with both sides of a Jacobian are one number, whichever is formed first."""
        n_out, dtype = given.network.sizes[-1], given.X.dtype
        V, U, v = (
            _guarded_copy(rng.normal(size=s).astype(dtype)) for s in (given.X.shape, (len(given.X), n_out), given.theta.shape)
        )
        by_inputs, by_parameters = _answers(lambda: model.jacobian(given.X)), _answers(lambda: model.parameter_jacobian(given.X))
        if isinstance(by_inputs, str) or isinstance(by_parameters, str) or np.abs(by_parameters).max() > WILD:
            return
        for J, along, parameters in ((by_inputs, V, False), (by_parameters, np.broadcast_to(v, (len(V), v.size)), True)):
            forward = model.jvp(given.X, v if parameters else V, parameters=parameters)
            backward = model.vjp(given.X, U, parameters=parameters)
            sides = np.vdot(U, forward), np.vdot(v if parameters else V, backward), np.einsum("nk,nkp,np", U, J, along)
            size = 1 + np.einsum("nk,nkp,np", *(np.abs(one.astype(float)) for one in (U, J, along)))
            if not max(sides) - min(sides) <= 1e4 * np.finfo(dtype).eps * size:
                raise attack.Found(f"products differ, {sides} of {size}: {given.network}, {len(V)} rows, {dtype}")
        if not np.array_equal(model.jacobian(given.X[row : row + 1])[0], by_inputs[row]):
            raise attack.Found(f"the derivatives of row {row} depend on those beside it: {given.network}")

    # -- a network that is trained --------------------------------------------------------------------------------------------

    def _trained(self, rng: np.random.Generator) -> Counter[str]:
        given, dtype = _problem(rng)
        options = steps(rng, len(given.X))
        beside = {"init": _model(given), "shuffle": False, "standardize": False, "sample_weight": given.weights, "dtype": dtype}
        if rng.random() < 0.3:
            beside["validation"] = (given.X, given.y)
        threads = pick(rng, (1, 2, 3, 4))
        try:
            model = fastmlp.train(as_given(rng, given.X), given.y, **options, **beside, threads=threads)
        except fastmlp.DivergedError:
            model = None
        each = [_reference_training(p, options) for p in _disturbed(given, rng)]
        if _is_wild(*each[0]):
            return Counter(wild=1)
        if model is None:
            raise attack.Found(f"diverged, unlike the reference: {given.network}, {options}")
        _compare(Told("theta", given, dtype, _slack(given, options), options), model.theta, [theta for theta, _ in each])
        _compare(
            Told("history", given, dtype, 10 * _slack(given, options), options), model.history.loss, [losses for _, losses in each]
        )
        if "validation" in beside and not np.isclose(model.history.validation_loss[-1], model.loss(given.X, given.y), rtol=1e-4):
            raise attack.Found(f"the validation loss is not that of the network: {given.network}, {options}")
        return Counter(trained=1)

    def _any_training(self, rng: np.random.Generator) -> Counter[str]:
        given, dtype = _problem(rng)
        options = steps(rng, len(given.X)) | anything(rng) | {"seed": int(rng.integers(2**63)), "dtype": dtype}
        options |= {"sample_weight": given.weights} if rng.random() < 0.5 else {}
        found = []
        for threads in rng.permutation(4)[:2] + 1:
            try:
                found.append(fastmlp.train(given.X, given.y, **options, threads=int(threads)))
            except (ValueError, fastmlp.DivergedError) as error:
                found.append(_sentence(error))
        one, other = found
        if isinstance(one, str) or isinstance(other, str):
            if one != other:
                raise attack.Found(f"threads decide on an error: {one!r}, {other!r}: {options}")
            return Counter(refused=1)
        _same_bits(one, other, options)
        if one.history.epochs > options["epochs"] or len(one.history.loss) != one.history.epochs:
            raise attack.Found(f"a history of {one.history.epochs} epochs: {options}")
        answers = one.predict(given.X)
        if answers.dtype.kind == "f" and not np.isfinite(answers).all():
            raise attack.Found(f"answers that are not finite: {options}")
        return Counter(any_training=1)

    # -- many at once -----------------------------------------------------------------------------------------------------------

    def _many(self, rng: np.random.Generator) -> Counter[str]:
        given, dtype = _problem(rng)
        options = steps(rng, len(given.X))
        count = int(pick(rng, (1, 2, 3, 8, 15, 16, 17, 33)))
        thetas = (given.theta[None] * (1 + 0.1 * rng.normal(size=(count, 1)))).astype(dtype)
        rates = (options.pop("learning_rate") * (0.5 + rng.random(count))).tolist()
        common = {**options, "shuffle": False, "standardize": False, "sample_weight": given.weights, "dtype": dtype}
        y = given.y if given.y.ndim == 1 or given.y.shape[1] == 1 else given.y[:, None]
        members = [_model(given._replace(theta=theta)) for theta in thetas]

        def trained(which: list[int]) -> Any:
            chosen = {"init": [members[k] for k in which], "learning_rate": [rates[k] for k in which]}
            return fastmlp.train_many(given.X, y, **common, **chosen, seed=[0] * len(which), threads=pick(rng, (1, 2, 3)))

        which = sorted(rng.permutation(count)[: max(1, count // 2)].tolist())
        try:
            all_of_them, some = trained(list(range(count))), trained(which)
        except fastmlp.DivergedError:
            return Counter(wild=1)
        for place, member in enumerate(which):
            if all_of_them.diverged[member] != some.diverged[place] or not np.array_equal(
                all_of_them.thetas([member]), some.thetas([place]), equal_nan=True
            ):
                raise attack.Found(f"member {member} depends on the others: {given.network}, {options}, {count} members, {which}")
        member = int(rng.integers(count))
        options["learning_rate"] = rates[member]
        each = [_reference_training(p, options) for p in _disturbed(given._replace(theta=thetas[member]), rng)]
        if _is_wild(*each[0]) or all_of_them.diverged[member]:
            return Counter(wild=1)
        _compare(
            Told("theta of a member", given, dtype, _slack(given, options), options),
            all_of_them.thetas([member])[0],
            [theta for theta, _ in each],
        )
        if given.classes is None and not all_of_them.diverged.any():
            alone = [_answers(lambda one=one: one.predict(given.X)) for one in all_of_them]
            together = _answers(lambda: all_of_them.predict_members(given.X))
            refused = [one for one in alone if isinstance(one, str)]
            if together not in refused if refused else not np.array_equal(together, alone):
                raise attack.Found(f"members say other things side by side: {given.network}")
        return Counter(members=1)

    # -- nonsense ---------------------------------------------------------------------------------------------------------------

    def _odd(self, rng: np.random.Generator) -> Counter[str]:
        given, _ = _problem(rng)
        options: dict[str, Any] = {"hidden": (3,), "epochs": 2, "seed": 0, "target_loss": 1e300}
        names = set(fastmlp.train.__wrapped__.__kwdefaults__) - {"dtype", "progress", "on_epoch", "target_loss"}
        for name in rng.permutation(sorted(names))[: pick(rng, (1, 1, 2, 3))].tolist():
            options[name] = pick(rng, ODD)
        X, y = given.X, given.y
        if rng.random() < 0.1:
            X = pick(rng, ODD)
        elif rng.random() < 0.1:
            y = pick(rng, ODD)
        train = pick(rng, (fastmlp.train, fastmlp.train_many))
        if train is fastmlp.train_many:
            options.pop("keep_state", None)
        try:
            train(X, y, **options)
        except (ValueError, TypeError, fastmlp.DivergedError) as error:
            _sentence(error)
            return Counter(refused=1)
        return Counter(odd=1)


# -- what they share -------------------------------------------------------------------------------------------------------------


def _problem(rng: np.random.Generator) -> tuple[Problem, type]:
    """A problem with its type, whose arrays nothing may be read behind."""
    dtype = pick(rng, (np.float32, np.float64))
    given = problem(rng, dtype)
    return given._replace(theta=_guarded_copy(given.theta), X=_guarded_copy(given.X), targets=_guarded_copy(given.targets)), dtype


def _model(given: Problem) -> fastmlp.MLP:
    network = given.network
    return fastmlp.MLP(
        network.sizes, _guarded_copy(given.theta), activations=network.activations, output=network.output, loss_name=network.loss,
        huber_delta=network.huber_delta, bias=network.bias, classes=given.classes,
    )  # fmt: skip


def _columns(expected: np.ndarray, found: np.ndarray) -> np.ndarray:
    """The outputs of the reference in the columns of predict and predict_proba."""
    if found.ndim == 1:
        return expected[:, 0]
    return np.hstack([1 - expected, expected]) if expected.shape[1] < found.shape[1] else expected


def _reference_training(given: Problem, options: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    named = {name: options[name] for name in ("batch_size", "optimizer", "learning_rate", "l2", "schedule", "warmup")}
    orders = [np.arange(len(given.X))] * options["epochs"]
    return reference.train(
        given.network,
        given.theta,
        given.X,
        given.targets,
        row_orders=orders,
        mu=options["momentum"],
        sample_weight=given.weights,
        **named,
    )


def _is_wild(theta: np.ndarray, losses: np.ndarray) -> bool:
    return not np.abs(theta).max() < WILD or not losses.max() < WILD


def _slack(given: Problem, options: dict[str, Any]) -> float:
    """How far rounding leads adam and its kin astray: a gradient that nearly cancels is rounding, which they divide by its size."""
    if options["optimizer"] not in ADAPTIVE:
        return 0.0
    steps = options["epochs"] * -(-len(given.X) // (options["batch_size"] or len(given.X)))
    exact, longest = given.in_float64(), 7 * options["learning_rate"]  # of a step and one that was not taken, for rmsprop's first
    largest = np.abs(reference.backward(exact.network, exact.theta, exact.X, exact.targets)).max()
    return steps * longest * min(1.0, 1000 * float(np.finfo(given.X.dtype).eps * max(1.0, largest)) / 1e-8)


def _disturbed(given: Problem, rng: np.random.Generator) -> list[Problem]:
    """The problem in float64 as it is, and disturbed by some rounding errors."""
    exact, eps = given.in_float64(), ROUNDING * float(np.finfo(given.X.dtype).eps)
    found = [exact]
    for _ in range(2):
        theta, X = (part * (1 + eps * rng.uniform(-1, 1, part.shape)) for part in (exact.theta, exact.X))
        found.append(exact._replace(theta=theta, X=X))
    return found


class Told(NamedTuple):
    """What is compared, of what."""

    name: str
    given: Problem
    dtype: type
    slack: float = 0.0
    options: Any = ""


def _compare(told: Told, found: Any, expected: list[Any]) -> None:
    """Raises Found where what was found is farther from the first than the others are, which are disturbed."""
    exact, *others = (np.asarray(one) for one in expected)
    if not all((np.abs(one) < LARGE).all() for one in (exact, *others)):
        return
    eps, network = float(np.finfo(told.dtype).eps), told.given.network
    wander = max(float(np.abs(other - exact).max(initial=0)) for other in others)
    allowed = 10 * wander + 1000 * eps * (1 + float(np.abs(exact).max(initial=0))) + told.slack
    error = float(np.abs(np.asarray(found) - exact).max(initial=0))
    kinks = told.dtype == np.float32 and not WITH_KINKS.isdisjoint((*network.activations, network.loss))
    if not error <= allowed and not (kinks and np.isfinite(error)):
        what = f"{network}, {len(told.given.X)} rows, {told.dtype.__name__} {told.options}"
        raise attack.Found(f"{told.name}: {error:g} off, {allowed:g} are allowed: {what}")


def _same_bits(one: fastmlp.MLP, other: fastmlp.MLP, options: dict[str, Any]) -> None:
    if not np.array_equal(one.theta, other.theta) or not np.array_equal(one.history.loss, other.history.loss):
        raise attack.Found(f"threads decide on the bits: {options}")


def _answers(ask: Callable[[], np.ndarray]) -> np.ndarray | str:
    """What is answered, or why nothing is."""
    try:
        return ask()
    except ValueError as error:
        return _sentence(error)


def _sentence(error: Exception) -> str:
    if type(error) not in (ValueError, TypeError, fastmlp.DivergedError) or "\n" in str(error):
        raise attack.Found(f"{type(error).__name__}: {error}")
    return str(error)
