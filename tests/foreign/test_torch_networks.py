"""Networks of PyTorch's as MLPs: the same outputs, and what cannot become one."""

import numpy as np
import pytest

import fastmlp

torch = pytest.importorskip("torch")
nn = torch.nn
X = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)


@pytest.fixture(autouse=True)
def same_weights():
    torch.manual_seed(0)


def said_by(module, X=X):
    module.eval()
    with torch.no_grad():
        return module(torch.from_numpy(X)).numpy()


def normalized(size, **options):
    layer = nn.BatchNorm1d(size, **options)
    if layer.running_mean is not None:
        layer.running_mean.copy_(torch.randn(size))
        layer.running_var.copy_(torch.rand(size) + 0.5)
    if layer.affine:
        torch.nn.init.normal_(layer.weight)
        torch.nn.init.normal_(layer.bias)
    return layer


@pytest.mark.parametrize(
    "activation",
    [
        nn.Sigmoid(), nn.Tanh(), nn.ReLU(), nn.LeakyReLU(), nn.ELU(), nn.Softplus(), nn.GELU(), nn.GELU("tanh"), nn.SiLU(),
        nn.Identity(),
    ],
    ids=str,
)  # fmt: skip
def test_outputs_are_those_of_the_module_for_every_activation(activation):
    module = nn.Sequential(nn.Linear(3, 5), activation, nn.Dropout(0.5), nn.Linear(5, 2))
    network = fastmlp.from_torch(module)
    assert network.dtype == np.float32 and network.classes is None
    np.testing.assert_allclose(network.predict(X), said_by(module), atol=1e-6)


def test_batch_normalization_is_folded_into_the_layer_before_or_after_it():
    module = nn.Sequential(
        normalized(3), nn.Linear(3, 6, bias=False), normalized(6), nn.ReLU(), normalized(6, affine=False), nn.Dropout(),
        nn.Sequential(nn.Linear(6, 4), nn.Tanh()), normalized(4), normalized(4), nn.Linear(4, 2), normalized(2),
    )  # fmt: skip
    expected = said_by(module)
    module.train()  # as eval would have it, all the same
    network = fastmlp.from_torch(module)
    assert network.layer_sizes == (3, 6, 4, 2)
    np.testing.assert_allclose(network.predict(X), expected, atol=1e-5)


def test_float64_and_layers_without_biases():
    module = nn.Sequential(nn.Linear(3, 4, bias=False), nn.Tanh(), nn.Linear(4, 1, bias=False)).double()
    network = fastmlp.from_torch(module)
    assert network.dtype == np.float64 and not network.bias
    np.testing.assert_allclose(network.predict(X), said_by(module, X.astype(float))[:, 0], atol=1e-14)


@pytest.mark.parametrize("end", [[], [nn.Softmax(dim=1)], [nn.LogSoftmax(-1)]], ids=str)
@pytest.mark.parametrize("classes", [["a", "b", "c"], [2, 0, 1]], ids=str)
def test_classes_are_in_the_order_of_the_outputs(end, classes):
    module = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 3))
    network = fastmlp.from_torch(nn.Sequential(*module, *end), classes=classes)
    assert network.classes.tolist() == sorted(classes)
    assert network.predict(X).tolist() == [classes[k] for k in said_by(module).argmax(axis=1)]
    probabilities = torch.softmax(torch.from_numpy(said_by(module)), 1).numpy()
    np.testing.assert_allclose(network.predict_proba(X), probabilities[:, np.argsort(classes)], atol=1e-6)


@pytest.mark.parametrize("end", [[], [nn.Sigmoid()]], ids=str)
@pytest.mark.parametrize("classes", [["no", "yes"], ["yes", "no"]], ids=str)
def test_a_single_output_tells_two_classes(end, classes):
    module = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 1))
    network = fastmlp.from_torch(nn.Sequential(*module, *end), classes=classes)
    assert network.output == "sigmoid" and network.classes.tolist() == ["no", "yes"]
    assert network.predict(X).tolist() == [classes[int(z > 0)] for z in said_by(module)[:, 0]]


def test_probabilities_without_classes_are_outputs():
    module = nn.Sequential(nn.Linear(3, 4), nn.Softmax(dim=-1))
    network = fastmlp.from_torch(module)
    assert network.classes is None
    np.testing.assert_allclose(network.predict(X), said_by(module), atol=1e-6)


@pytest.mark.parametrize(
    ("module", "options", "parts"),
    [
        (nn.Sequential(nn.Linear(3, 4), nn.PReLU(), nn.Linear(4, 1)), {}, ["PReLU (1) is a layer that an MLP has not"]),
        (nn.Sequential(nn.Conv1d(3, 4, 1)), {}, ["Conv1d (0)"]),
        (nn.Sequential(nn.Linear(3, 4), nn.LeakyReLU(0.2), nn.Linear(4, 1)), {}, ["LeakyReLU (1)", "negative_slope 0.2"]),
        (nn.Sequential(nn.Linear(3, 4), nn.ELU(0.5), nn.Linear(4, 1)), {}, ["ELU (1)", "alpha 0.5"]),
        (nn.Sequential(nn.Linear(3, 4), nn.Softmax(0)), {}, ["Softmax (1)", "dim 0"]),
        (nn.Sequential(nn.Linear(3, 4), nn.Softmax(1), nn.Linear(4, 1)), {}, ["softmax", "hidden layers"]),
        (nn.Sequential(nn.Linear(3, 4), nn.Tanh()), {}, ["tanh", "outputs"]),
        (nn.Sequential(nn.ReLU(), nn.Linear(3, 4)), {}, ["ReLU (0) does not follow a linear layer"]),
        (nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Tanh()), {}, ["Tanh (2) does not follow"]),
        (nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.BatchNorm1d(4)), {}, ["ends in a scaling"]),
        (nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, track_running_stats=False)), {}, ["BatchNorm1d (1)", "statistics"]),
        (nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(5, 1)), {}, ["Linear (2) does not fit"]),
        (nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(5)), {}, ["BatchNorm1d (1) does not fit"]),
        (nn.Sequential(nn.BatchNorm1d(4), nn.Linear(3, 4)), {}, ["Linear (1) does not fit"]),
        (nn.Sequential(), {}, ["no linear layer"]),
        (nn.Sequential(nn.Linear(3, 4, device="meta")), {}, ["Linear (0) is on the device meta", "module.cpu()"]),
        (nn.Sequential(nn.Linear(3, 4)).half(), {}, ["Linear (0)", "torch.float16"]),
        (nn.Sequential(nn.Linear(3, 4)), {"classes": ["a", "b"]}, ["classes must be 4 different labels"]),
        (nn.Sequential(nn.Linear(3, 1)), {"classes": ["a", "a"]}, ["classes must be 2 different labels"]),
        (nn.Sequential(nn.Linear(3, 2), nn.Softplus()), {"classes": ["a", "b"]}, ["softplus"]),
        (nn.Sequential(nn.Linear(3, 2), nn.Sigmoid()), {"classes": ["a", "b"]}, ["sigmoid"]),
    ],
    ids=lambda value: str(value)[:1],
)
def test_what_an_mlp_has_not_is_named(module, options, parts):
    with pytest.raises(ValueError) as caught:
        fastmlp.from_torch(module, **options)
    message = str(caught.value)
    assert all(part in message for part in parts) and "\n" not in message, message


def test_parameters_that_are_not_finite_are_told():
    module = nn.Sequential(nn.Linear(3, 2))
    with torch.no_grad():
        module[0].weight[0, 0] = float("nan")
    with pytest.raises(ValueError, match="the weights of Linear"):
        fastmlp.from_torch(module)


@pytest.mark.parametrize("given", [3, [nn.Linear(3, 2)], None], ids=str)
def test_what_is_no_module_is_told(given):
    with pytest.raises(TypeError, match=r"module must be a torch\.nn\.Sequential"):
        fastmlp.from_torch(given)
