"""PyTorch, eager, as its documentation recommends it: nn.Sequential, losses from logits, fused optimisers."""

import torch
from torch import nn

set_threads = torch.set_num_threads
ACTIVATIONS = {"identity": nn.Identity, "relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}
LOSSES = {"sigmoid": nn.BCEWithLogitsLoss, "softmax": nn.CrossEntropyLoss}
OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}


def logits_of(network, theta):
    """The network up to its logits."""
    modules = []
    for (w, b), activation in zip(network.unpack(theta), (*network.activations, "identity"), strict=True):
        layer = nn.utils.skip_init(nn.Linear, *w.shape, dtype=torch.from_numpy(b).dtype)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(w.T.copy()))
            layer.bias.copy_(torch.from_numpy(b))
        modules += [layer, ACTIVATIONS[activation]()]
    return nn.Sequential(*modules[:-1])


def stepper(network, theta, optimizer, learning_rate):
    """A function that does one step on a batch and gives the loss before it, as a tensor."""
    net, loss_of = logits_of(network, theta), LOSSES[network.output]()
    rule = OPTIMIZERS[optimizer](net.parameters(), lr=learning_rate, fused=True)

    def step(x, y):
        rule.zero_grad(set_to_none=True)
        loss = loss_of(net(x), y)
        loss.backward()
        rule.step()
        return loss.detach()

    return step


def train(network, theta, X, targets, *, epochs, batch_size, optimizer, learning_rate):
    """The mean loss of every epoch; the batches are whole."""
    x, y = torch.from_numpy(X), torch.from_numpy(targets)
    y = y if network.output == "sigmoid" else y.argmax(dim=1)
    step, size = stepper(network, theta, optimizer, learning_rate), batch_size or len(x)
    losses = [step(x[i : i + size], y[i : i + size]) for _ in range(epochs) for i in range(0, len(x), size)]
    return torch.stack(losses).view(epochs, -1).mean(dim=1).numpy()


def updater(network, theta, learning_rate):
    """A function that does one online step from a row and its target, and gives the loss before it."""
    step = stepper(network, theta, "sgd", learning_rate)
    return lambda x, y: step(x, y).item()


def single_rows(array):
    """Its rows as tensors (1, n)."""
    return torch.from_numpy(array).split(1)


def predictor(network, theta, X):
    """A function that gives the probabilities of both classes for the rows."""
    net, x = logits_of(network, theta), torch.from_numpy(X)

    def predict():
        with torch.inference_mode():
            p = net(x).sigmoid()
            return torch.hstack([1 - p, p])

    return predict


def levenberg_marquardt(network, theta, x, y, target):
    """Until the mean of half the squared errors is at most the target, by the package torch-levenberg-marquardt; an ArithmeticError
    where it does not come to that."""
    import torch_levenberg_marquardt as package

    module = package.training.LevenbergMarquardtModule(logits_of(network, theta), package.loss.MSELoss(), solve_method="cholesky")
    inputs, targets = torch.from_numpy(x), torch.from_numpy(y).reshape(-1, 1)
    for _ in range(500):
        _, loss, stop, _ = module.training_step(inputs, targets)
        if loss / 2 <= target:
            return
        if stop:
            break
    raise ArithmeticError
