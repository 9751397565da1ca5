#!/usr/bin/env python3
"""Makes cases for tests/parity.rs: random options, and what PyTorch answers to them.

    python tests/parity/generate.py --seed 7 --out /tmp/cases
    PARITY_CASES=/tmp/cases cargo test --test parity

Needs PyTorch and safetensors. A file a family. Its metadata entry `cases` is a JSON list; a case has `op`,
`args` under PyTorch's names, and either tensors, named `i/NAME` for case i, or `raises` and PyTorch's
`message`. `grad_y` and `grad_loss` are what flows in, `grad_x` and the others what comes out. An `x` of
f64, f16 or bf16 makes a case of that dtype.
"""

import argparse
import gzip
import json
import random
import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

RAW = Path(__file__).resolve().parents[2] / "data" / "MNIST" / "raw"


class Cases:
    """The cases of one file."""

    def __init__(self):
        self.list, self.tensors = [], {}

    def add(self, op, args, tensors, **fields):
        index = len(self.list)
        self.list.append({"op": op, "args": args, **fields})
        for name, tensor in tensors.items():
            # Copies: what PyTorch changes later must not change here.
            self.tensors[f"{index}/{name}"] = tensor.detach().clone().contiguous()

    def refused(self, op, args, tensors, error):
        self.add(op, args, tensors, raises=True, message=str(error).split("\n")[0])

    def save(self, path):
        metadata = {"torch": torch.__version__, "cases": json.dumps(self.list)}
        save_file(self.tensors, path, metadata)


def pick(rng, *weighted):
    """One of the values, each given with its weight."""
    return rng.choices([value for value, _ in weighted], [weight for _, weight in weighted])[0]


def size(rng, values):
    """An int, or as often a pair."""
    return pick(rng, (rng.choice(values), 1), ([rng.choice(values), rng.choice(values)], 1))


def dtype(rng):
    return pick(
        rng, (torch.float32, 6), (torch.float64, 2), (torch.float16, 1), (torch.bfloat16, 1)
    )


def layer_case(cases, op, args, module, x, extra=()):
    """A layer's output and gradients, or its refusal; `module` makes the layer."""
    tensors = {"x": x}
    try:
        layer = module()
        x = x.clone().requires_grad_()
        y, *others = layer(x) if extra else (layer(x),)
    except (RuntimeError, ValueError) as error:
        cases.refused(op, args, tensors, error)
        return
    grad_y = torch.randn_like(y)
    y.backward(grad_y)
    tensors |= {"y": y, "grad_y": grad_y, "grad_x": x.grad}
    tensors |= dict(zip(extra, others))
    for name, parameter in layer.named_parameters():
        tensors |= {name: parameter, f"grad_{name}": parameter.grad}
    cases.add(op, args, tensors)


def conv2d(rng, cases):
    for _ in range(120):
        groups = pick(rng, (1, 4), (2, 2), (3, 2))
        args = {
            "in_channels": groups * rng.choice([1, 2, 3]),
            "out_channels": groups * rng.choice([1, 2, 4]),
            "kernel_size": size(rng, [1, 2, 3, 5]),
            "stride": pick(rng, (1, 1), (size(rng, [1, 2, 3]), 2)),
            "padding": pick(
                rng, (0, 3), ("valid", 2), ("same", 2), (size(rng, [0, 1, 2, 3]), 4),
                (size(rng, [4, 6, 9]), 1),
            ),
            "dilation": size(rng, [1, 1, 2]),
            "groups": groups,
            "bias": rng.random() < 0.7,
            "padding_mode": pick(
                rng, ("zeros", 3), ("reflect", 2), ("replicate", 2), ("circular", 2)
            ),
        }
        c = args["in_channels"]
        shape = [rng.randint(1, 3), c, rng.choice([5, 7, 8, 11]), rng.choice([5, 6, 9, 12])]
        if rng.random() < 0.06:
            name, value = rng.choice([
                ("groups", 4), ("groups", 0), ("out_channels", 0), ("padding", "full"),
                ("padding_mode", "mirror"), ("stride", 0), ("dilation", 0),
            ])
            args[name] = value
        elif args["padding_mode"] == "zeros" and rng.random() < 0.1:
            shape[1] += 1
        x = torch.randn(shape[pick(rng, (0, 5), (1, 1)):], dtype=dtype(rng))
        layer_case(cases, "conv2d", args, lambda: nn.Conv2d(**args, dtype=x.dtype), x)


def max_pool2d(rng, cases):
    for _ in range(120):
        args = {
            "kernel_size": size(rng, [1, 2, 3, 4]),
            "stride": pick(rng, (None, 4), (size(rng, [1, 2, 3]), 6)),
            "padding": pick(rng, (0, 3), (size(rng, [0, 1]), 1)),
            "dilation": pick(rng, (1, 3), (size(rng, [1, 2]), 1)),
            "return_indices": rng.random() < 0.5,
            "ceil_mode": rng.random() < 0.5,
        }
        if rng.random() < 0.05:
            args[rng.choice(["kernel_size", "stride", "dilation"])] = 0
        shape = [rng.randint(1, 2), rng.choice([1, 3]), rng.choice([5, 6, 8, 9])]
        shape.append(rng.choice([5, 7, 8, 10]))
        x = torch.randn(shape[pick(rng, (0, 6), (1, 1)):])
        if rng.random() < 0.4:
            # Few values: many windows have several that are the largest.
            x = torch.randint(-3, 4, x.shape).float()
        if rng.random() < 0.1:
            x[torch.rand(x.shape) < 0.1] = rng.choice([float("nan"), float("-inf"), float("inf")])
        x = x.to(dtype(rng))
        extra = ("indices",) if args["return_indices"] else ()
        layer_case(cases, "max_pool2d", args, lambda: nn.MaxPool2d(**args), x, extra)


def linear(rng, cases):
    for _ in range(30):
        args = {
            "in_features": pick(rng, (rng.choice([1, 3, 8, 33]), 15), (0, 1)),
            "out_features": pick(rng, (rng.choice([1, 4, 10, 17]), 15), (0, 1)),
            "bias": rng.random() < 0.6,
        }
        leading = [rng.choice([1, 2, 5]) for _ in range(rng.randint(0, 3))]
        last = args["in_features"] + (rng.random() < 0.1)
        x = torch.randn(leading + [last], dtype=dtype(rng))
        layer_case(cases, "linear", args, lambda: nn.Linear(**args, dtype=x.dtype), x)


def cross_entropy(rng, cases):
    for _ in range(120):
        n, c = rng.choice([1, 2, 5, 16]), rng.choice([2, 3, 10])
        inner = rng.choice([(), (), (3,), (2, 3)])
        kind = pick(rng, ("indices", 4), ("probabilities", 1))
        ignored = pick(rng, (-100, 6), (-1, 2), (0, 2), (255, 1), (c - 1, 1))
        args = {
            "weight": rng.random() < 0.4,
            "ignore_index": ignored if kind == "indices" or rng.random() < 0.1 else -100,
            "reduction": pick(rng, ("mean", 8), ("sum", 6), ("none", 6), ("avg", 1)),
            "label_smoothing": pick(
                rng, (0.0, 16), (0.1, 8), (0.3, 8), (1.0, 6), (-0.1, 2), (1.5, 1)
            ),
            "target": kind,
        }
        of = dtype(rng)
        # In f16 PyTorch's sums of larger losses overflow.
        scales = [1, 1, 10] if of == torch.float16 else [1, 1, 30, 1e4]
        x = (torch.randn(n, c, *inner) * rng.choice(scales)).to(of)
        tensors = {"x": x}
        if kind == "indices":
            target = torch.randint(0, c, (n, *inner))
            if args["ignore_index"] != -100:
                target[torch.rand(target.shape) < 0.3] = args["ignore_index"]
            if rng.random() < 0.07:
                target.view(-1)[rng.randrange(target.numel())] = c + 3
            # Not with further axes or with smoothing: there PyTorch takes int64 alone.
            plain = not inner and args["label_smoothing"] <= 0
            if plain and target.min() >= 0 and rng.random() < 0.3:
                target = target.to(torch.uint8)
        else:
            target = torch.softmax(torch.randn(n, c, *inner), 1).to(of)
        tensors["target"] = target
        if args["weight"]:
            tensors["weight"] = (0.2 + torch.rand(c)).to(of)
        x = x.clone().requires_grad_()
        target = target.clone().requires_grad_(kind == "probabilities")
        try:
            criterion = nn.CrossEntropyLoss(
                tensors.get("weight"),
                ignore_index=args["ignore_index"],
                reduction=args["reduction"],
                label_smoothing=args["label_smoothing"],
            )
            loss = criterion(x, target)
        except (RuntimeError, ValueError, IndexError) as error:
            cases.refused("cross_entropy", args, tensors, error)
            continue
        grad_loss = torch.randn_like(loss)
        loss.backward(grad_loss)
        tensors |= {"loss": loss, "grad_loss": grad_loss, "grad_x": x.grad}
        if target.grad is not None:
            tensors["grad_target"] = target.grad
        cases.add("cross_entropy", args, tensors)


OPTIMIZERS = {
    "SGD": {
        "lr": [0.1, 0.01, 1.0], "momentum": [0, 0, 0.9], "weight_decay": [0, 1e-4, 0.1],
        "dampening": [0, 0, 0.3], "nesterov": [False, False, True], "maximize": [False, False, True],
    },
    "Adam": {
        "lr": [0.001, 0.01], "betas": [(0.9, 0.999), (0.7, 0.9)], "eps": [1e-8, 1e-6],
        "weight_decay": [0, 0.01], "amsgrad": [False, True], "maximize": [False, False, True],
    },
    "AdamW": {
        "lr": [0.001, 0.01], "betas": [(0.9, 0.999), (0.8, 0.99)], "eps": [1e-8],
        "weight_decay": [0, 0.01, 0.1], "amsgrad": [False, True], "maximize": [False, False, True],
    },
    "RMSprop": {
        "lr": [0.001, 0.01], "alpha": [0.9, 0.99], "eps": [1e-8], "weight_decay": [0, 0.01],
        "momentum": [0, 0.9], "centered": [False, True], "maximize": [False, False, True],
    },
    "Adagrad": {
        "lr": [0.01, 0.1], "lr_decay": [0, 0.1], "weight_decay": [0, 0.01],
        "initial_accumulator_value": [0, 0.1], "eps": [1e-10], "maximize": [False, False, True],
    },
}
WRONG = [("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.1, "nesterov": True})] + [
    (name, {"lr": 0.1, parameter: -1.0} | ({"lr": -1.0} if parameter == "lr" else {}))
    for name, parameters in OPTIMIZERS.items()
    for parameter in parameters
    if parameter not in ("betas", "nesterov", "amsgrad", "centered", "maximize", "dampening")
] + [("Adam", {"betas": [1.0, 0.9]}), ("AdamW", {"betas": [0.9, -0.1]})]


def optimizers(rng, cases):
    drawn = [rng.choice(list(OPTIMIZERS)) for _ in range(60)]
    options = {
        name: lambda values=values: {key: rng.choice(of) for key, of in values.items()}
        for name, values in OPTIMIZERS.items()
    }
    for name, args in rng.sample(WRONG, 10) + [(name, options[name]()) for name in drawn]:
        p = nn.Parameter(torch.randn(3, 2))
        try:
            optimizer = getattr(torch.optim, name)([p], **args)
        except ValueError as error:
            cases.refused(name, args, {}, error)
            continue
        tensors = {"p0": p.detach().clone()}
        for step in range(6):
            p.grad = torch.randn(3, 2)
            tensors[f"grad{step}"] = p.grad.clone()
            optimizer.step()
            tensors[f"p{step + 1}"] = p.detach().clone()
        cases.add(name, args, tensors, steps=6)


def schedulers(rng, cases):
    drawn = {
        "StepLR": lambda: {"step_size": rng.choice([1, 3, 5]), "gamma": rng.choice([0.1, 0.5])},
        "MultiStepLR": lambda: {"milestones": sorted(rng.sample(range(1, 18), 3)), "gamma": 0.3},
        "ExponentialLR": lambda: {"gamma": rng.choice([0.9, 0.97])},
        "CosineAnnealingLR": lambda: {
            "T_max": rng.choice([5, 10, 20]), "eta_min": rng.choice([0, 0.001])
        },
        "LinearLR": lambda: {
            "start_factor": rng.choice([1 / 3, 0.1]), "end_factor": rng.choice([1.0, 0.5]),
            "total_iters": rng.choice([4, 8]),
        },
        "OneCycleLR": lambda: {
            "max_lr": rng.choice([0.5, 0.1]), "total_steps": rng.choice([20, 30]),
            "pct_start": rng.choice([0.3, 0.5]),
            "anneal_strategy": rng.choice(["cos", "linear"]),
            "div_factor": rng.choice([10.0, 25.0]), "final_div_factor": 1e4,
            "three_phase": rng.random() < 0.5, "cycle_momentum": False,
        },
    }
    for name, options in drawn.items():
        for _ in range(6):
            args = options()
            optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
            scheduler = getattr(torch.optim.lr_scheduler, name)(optimizer, **args)
            lr = []
            for _ in range(19):
                lr.append(optimizer.param_groups[0]["lr"])
                optimizer.step()
                scheduler.step()
            lr = torch.tensor(lr, dtype=torch.float64)
            cases.add(name, args | {"base_lr": 0.1}, {"lr": lr})


class Net(nn.Module):
    """The small network of the book."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 10, 5), nn.Conv2d(10, 20, 5)
        self.fc1, self.fc2 = nn.Linear(320, 50), nn.Linear(50, 10)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.conv2(x), 2))
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


def mnist():
    read = lambda name: gzip.decompress((RAW / name).read_bytes())
    images = bytearray(read("train-images-idx3-ubyte.gz")[16:])
    labels = bytearray(read("train-labels-idx1-ubyte.gz")[8:])
    images = torch.frombuffer(images, dtype=torch.uint8).view(-1, 1, 28, 28)
    labels = torch.frombuffer(labels, dtype=torch.uint8).long()
    return (images.float() / 255 - 0.1307) / 0.3081, labels


def train(net, optimizer, data, order, batch_size):
    images, labels = data
    losses = []
    for batch in order.split(batch_size):
        loss = F.cross_entropy(net(images[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return torch.tensor(losses)


def training(rng, cases):
    data = mnist()
    for name, args in [
        ("SGD", {"lr": 0.01, "momentum": 0.5}),
        ("Adam", {"lr": 0.001}),
        ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}),
    ]:
        net, order = Net(), torch.randperm(60_000)[: 200 * 64]
        tensors = {f"init.{key}": value.clone() for key, value in net.state_dict().items()}
        optimizer = getattr(torch.optim, name)(net.parameters(), **args)
        tensors |= {"order": order, "losses": train(net, optimizer, data, order, 64)}
        tensors |= {f"final.{key}": value for key, value in net.state_dict().items()}
        cases.add(name, args, tensors, batch_size=64, steps=200)


def epochs(n, batch_size, shuffle, epochs):
    loader = torch.utils.data.DataLoader(range(n), batch_size=batch_size, shuffle=shuffle)
    return {f"epoch{epoch}": torch.cat(list(loader)) for epoch in range(epochs)}


def seeded(rng, cases):
    data = mnist()
    args = {"lr": 0.01, "momentum": 0.5}
    for seed in [0, 1, 42] + [rng.randrange(2**31) for _ in range(3)]:
        torch.manual_seed(seed)
        net = Net()
        order = epochs(60_000, 64, True, 1)["epoch0"][: 100 * 64]
        losses = train(net, torch.optim.SGD(net.parameters(), **args), data, order, 64)
        run = {"seed": seed} | args | {"batch_size": 64, "steps": 100}
        cases.add("training_run", run, {"losses": losses})
        torch.manual_seed(seed)
        cases.add("rand", {"seed": seed, "n": 100}, {"values": torch.rand(100)})
        torch.manual_seed(seed)
        cases.add("randperm", {"seed": seed, "n": 60_000}, {"values": torch.randperm(60_000)})
        torch.manual_seed(seed)
        cases.add("net_init", {"seed": seed}, Net().state_dict())
        loader = {"n": 100, "batch_size": 8, "shuffle": True, "epochs": 2}
        torch.manual_seed(seed)
        cases.add("loader_order", {"seed": seed} | loader, epochs(**loader))


FAMILIES = {
    family.__name__: family
    for family in [
        conv2d, max_pool2d, linear, cross_entropy, optimizers, schedulers, training, seeded,
    ]
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder")
    parser.add_argument("--family", choices=FAMILIES, help="only this one")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    # PyTorch's sums, and so a training run's losses, depend on the number. This is that of the golden files,
    # and Candlelight's order of summing on any number.
    torch.set_num_threads(2)
    options.out.mkdir(parents=True, exist_ok=True)
    for name in [options.family] if options.family else FAMILIES:
        # Each family by itself: the same cases alone and together with the others.
        rng = random.Random(f"{options.seed} {name}")
        torch.manual_seed(rng.randrange(2**31))
        cases = Cases()
        FAMILIES[name](rng, cases)
        cases.save(options.out / f"{name}.safetensors")
        print(f"{name}: {len(cases.list)} cases")


if __name__ == "__main__":
    main()
