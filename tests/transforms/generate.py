"""Makes the cases of tests/transforms.rs: what torchvision's transforms give on PIL images.

    python tests/transforms/generate.py [--seed 0] [--cases 24] [--out tests/transforms]

A file for each transform. Its metadata entry `cases` is a JSON list; case i's tensors are named
`i/NAME`: the input `x`, the outputs `y0`, `y1`, … of the same input one after another from one seed,
and `next`, what torch.rand(1) gives afterwards. `args` are torchvision's, under its names. A case that
torchvision refuses has its message in `raises`, and in `parameter` what the message must name here.
"""

import argparse
import gzip
import json
import pathlib
import random
import warnings

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision import transforms
from torchvision.transforms import InterpolationMode

ROOT = pathlib.Path(__file__).resolve().parents[2]
RESIZES = [mode.value for mode in InterpolationMode]
TURNS = ["nearest", "nearest-exact", "bilinear", "bicubic"]
PAD_MODES = ["constant", "edge", "reflect", "symmetric"]
TUPLES = {"size", "padding", "translate", "scale", "ratio", "center"}


def digits():
    with gzip.open(ROOT / "data/MNIST/raw/t10k-images-idx3-ubyte.gz") as file:
        return np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)


class Maker:
    def __init__(self, seed, digits):
        self.random = random.Random(seed)
        self.numpy = np.random.default_rng(seed)
        self.digits = digits

    def chance(self, p=0.5):
        return self.random.random() < p

    def pick(self, *values):
        return self.random.choice(values)

    def number(self, low, high):
        return round(self.random.uniform(low, high), self.pick(1, 2, 3))

    def whole(self, low, high):
        return self.random.randint(low, high)

    def ascending(self, low, high):
        return sorted([self.number(low, high), self.number(low, high)])

    def optional(self, args, name, value):
        if self.chance():
            args[name] = value()

    def image(self):
        kind = self.pick("digit", "digit", "gray", "gray", "rgb")
        if kind == "digit":
            return self.digits[self.whole(0, len(self.digits) - 1)]
        shape = (self.whole(1, 31), self.whole(1, 31))
        if kind == "rgb":
            shape = (self.whole(3, 19), self.whole(3, 19), 3)
        return self.noise(shape)

    def noise(self, shape):
        # Plain black and white now and then: where sums overflow.
        values = self.numpy.integers(0, 256, shape, dtype=np.uint8)
        return np.where(values > 127, 255, 0).astype(np.uint8) if self.chance(0.2) else values

    def tensor(self):
        lead = self.pick((), (), (2,))
        shape = lead + (self.pick(1, 3), self.whole(5, 20), self.whole(5, 20))
        return self.numpy.random(shape, dtype=np.float32)

    def fill(self, channels, most=300):
        kind = self.pick("int", "float", "one", "each")
        if kind == "int":
            return self.whole(-20, most)
        if kind == "float":
            return self.number(-20, most)
        return [self.whole(0, 255) for _ in range(1 if kind == "one" else channels)]

    def padding(self, low=0, high=6):
        count = self.pick(1, 2, 4)
        values = [self.whole(low, high) for _ in range(count)]
        return values[0] if count == 1 else values

    def degrees(self, most=180):
        if self.chance(0.2):
            right = self.pick(-90.0, 0.0, 90.0, 180.0, 270.0, 360.0)
            return [right, right]
        one = self.pick(self.whole(0, most), self.number(0, most))
        return one if self.chance() else self.ascending(-most, most)


def random_crop(make, x):
    args = {"size": make.pick(make.whole(1, 28), [make.whole(1, 34), make.whole(1, 34)])}
    make.optional(args, "padding", make.padding)
    make.optional(args, "pad_if_needed", lambda: make.chance(0.8))
    make.optional(args, "fill", lambda: make.fill(channels(x)))
    make.optional(args, "padding_mode", lambda: make.pick(*PAD_MODES))
    return args


def center_crop(make, x):
    return {"size": make.pick(make.whole(1, 40), [make.whole(1, 40), make.whole(1, 40)])}


def pad(make, x):
    args = {"padding": make.padding(-3, 40 if make.chance(0.2) else 6)}
    make.optional(args, "fill", lambda: make.fill(channels(x)))
    make.optional(args, "padding_mode", lambda: make.pick(*PAD_MODES))
    return args


def resize(make, x):
    args = {"size": make.pick(make.whole(1, 32), [make.whole(1, 48), make.whole(1, 48)])}
    make.optional(args, "interpolation", lambda: make.pick(*RESIZES))
    if isinstance(args["size"], int):
        make.optional(args, "max_size", lambda: make.whole(args["size"] + 1, 50))
    make.optional(args, "antialias", lambda: True)
    return args


def random_rotation(make, x):
    args = {"degrees": make.degrees()}
    make.optional(args, "interpolation", lambda: make.pick(*TURNS))
    make.optional(args, "expand", lambda: make.chance(0.8))
    if make.chance(0.3):
        args["center"] = [make.number(-5, 30), make.number(-5, 30)]
    make.optional(args, "fill", lambda: make.fill(channels(x)))
    return args


def random_affine(make, x):
    args = {"degrees": make.pick(0, 0.0, make.degrees())}
    make.optional(args, "translate", lambda: [make.number(0, 0.6), make.number(0, 0.6)])
    make.optional(args, "scale", lambda: make.ascending(0.3, 2))
    shears = (make.whole(0, 30), make.ascending(-40, 40), make.ascending(-40, 40) + make.ascending(-40, 40))
    make.optional(args, "shear", lambda: make.pick(*shears))
    make.optional(args, "interpolation", lambda: make.pick(*TURNS))
    make.optional(args, "fill", lambda: make.fill(channels(x)))
    if make.chance(0.3):
        args["center"] = [make.number(-5, 30), make.number(-5, 30)]
    return args


def random_horizontal_flip(make, x):
    return make.pick({}, {"p": make.pick(0.0, 1.0, make.number(0, 1))})


def random_erasing(make, x):
    args = {}
    make.optional(args, "p", lambda: make.pick(1.0, make.number(0.3, 1)))
    make.optional(args, "scale", lambda: make.ascending(0, 1))
    make.optional(args, "ratio", lambda: make.ascending(0.1, 5))
    some = [make.number(-2, 2) for _ in range(x.shape[-3])]
    make.optional(args, "value", lambda: make.pick("random", make.whole(-3, 3), make.number(-2, 2), some))
    make.optional(args, "inplace", lambda: make.chance())
    return args


def to_tensor(make, x):
    return {}


def normalize(make, x):
    count = x.shape[-3]
    args = {"mean": [make.number(-1, 1) for _ in range(count)], "std": [make.number(0.1, 2) for _ in range(count)]}
    make.optional(args, "inplace", lambda: make.chance())
    return args


def compose(make, x):
    args = [
        ["RandomCrop", {"size": 20, "padding": 4, "padding_mode": make.pick(*PAD_MODES), "pad_if_needed": True}],
        ["RandomHorizontalFlip", {"p": 0.5}],
        ["RandomRotation", {"degrees": make.whole(1, 45), "interpolation": make.pick(*TURNS)}],
        ["RandomAffine", {"degrees": 5, "translate": [0.1, 0.1], "scale": [0.8, 1.2], "shear": 5}],
        ["Resize", {"size": make.whole(8, 18)}],
        ["ToTensor", {}],
        ["Normalize", {"mean": [0.1307] * channels(x), "std": [0.3081] * channels(x)}],
        ["RandomErasing", {"p": 0.7, "value": "random"}],
    ]
    return {"transforms": args}


# What torchvision refuses: the arguments, the input's shape, what the message must name.
REFUSED = {
    "RandomCrop": [
        ({"size": 29}, (28, 28), "size"),
        ({"size": [20, 40], "padding": 2}, (28, 28), "size"),
        ({"size": 10, "padding": 1, "fill": [1, 2]}, (28, 28, 3), "fill"),
        ({"size": 30, "pad_if_needed": True, "fill": [1, 2, 3]}, (28, 28), "fill"),
    ],
    "CenterCrop": [],
    "Pad": [
        ({"padding": 1, "fill": [1, 2, 3]}, (8, 8), "fill"),
        ({"padding": 1, "fill": [1, 2]}, (8, 8, 3), "fill"),
        ({"padding": [-9, 0]}, (8, 8), "padding"),
        ({"padding": [-9, 0, 4, 0], "padding_mode": "edge"}, (8, 8), "padding"),
    ],
    "Resize": [
        ({"size": 0}, (8, 8), "size"),
        ({"size": [4, 0]}, (8, 8), "size"),
        ({"size": 8, "max_size": 8}, (8, 12), "max_size"),
        ({"size": 8, "max_size": 5}, (8, 12), "max_size"),
        ({"size": [8, 9], "max_size": 20}, (8, 12), "max_size"),
        ({"size": 2, "max_size": 3}, (1, 30), "size"),
    ],
    "RandomRotation": [
        ({"degrees": -1}, (8, 8), "degrees"),
        ({"degrees": -0.5}, (8, 8), "degrees"),
        ({"degrees": [10.0, -10.0]}, (8, 8), "degrees"),
        ({"degrees": 10, "fill": [1, 2]}, (8, 8), "fill"),
        ({"degrees": 10, "interpolation": "box"}, (8, 8), "interpolation"),
        ({"degrees": 10, "interpolation": "lanczos"}, (8, 8), "interpolation"),
    ],
    "RandomAffine": [
        ({"degrees": -1}, (8, 8), "degrees"),
        ({"degrees": [10.0, -10.0]}, (8, 8), "degrees"),
        ({"degrees": 0, "translate": [0.1, 1.5]}, (8, 8), "translate"),
        ({"degrees": 0, "translate": [-0.1, 0.5]}, (8, 8), "translate"),
        ({"degrees": 0, "scale": [0.0, 1.0]}, (8, 8), "scale"),
        ({"degrees": 0, "scale": [1.5, 1.0]}, (8, 8), "scale"),
        ({"degrees": 0, "shear": -5}, (8, 8), "shear"),
        ({"degrees": 0, "shear": [0.0, 5.0, 5.0, 0.0]}, (8, 8), "shear"),
        ({"degrees": 0, "fill": [1, 2, 3]}, (8, 8), "fill"),
        ({"degrees": 0, "interpolation": "hamming"}, (8, 8), "interpolation"),
    ],
    "RandomErasing": [
        ({"p": 1.5}, (1, 8, 8), "p"),
        ({"p": -0.1}, (1, 8, 8), "p"),
        ({"p": 1.0, "scale": [0.5, 1.5]}, (1, 8, 8), "scale"),
        ({"p": 1.0, "scale": [-0.1, 0.5]}, (1, 8, 8), "scale"),
        ({"p": 1.0, "scale": [0.5, 0.2]}, (1, 8, 8), "scale"),
        ({"p": 1.0, "ratio": [2.0, 1.0]}, (1, 8, 8), "ratio"),
        ({"p": 1.0, "ratio": [0.0, 1.0]}, (1, 8, 8), "ratio"),
        ({"p": 1.0, "ratio": [-1.0, 1.0]}, (1, 8, 8), "ratio"),
        ({"p": 1.0, "value": [1.0, 2.0]}, (3, 8, 8), "value"),
    ],
    "Normalize": [
        ({"mean": [0.5], "std": [0.0]}, (1, 8, 8), "std"),
        ({"mean": [0.5, 0.5], "std": [1.0, 1.0]}, (3, 8, 8), "input"),
    ],
}

MAKERS = {
    "RandomCrop": random_crop,
    "CenterCrop": center_crop,
    "Pad": pad,
    "Resize": resize,
    "RandomRotation": random_rotation,
    "RandomAffine": random_affine,
    "RandomHorizontalFlip": random_horizontal_flip,
    "RandomErasing": random_erasing,
    "ToTensor": to_tensor,
    "Normalize": normalize,
    "Compose": compose,
}
ON_TENSORS = {"RandomErasing", "Normalize"}


def channels(x):
    return 1 if x.ndim == 2 else 3


def build(op, args):
    if op == "Compose":
        return transforms.Compose([build(*step) for step in args["transforms"]])
    args = {name: tuple(v) if name in TUPLES and isinstance(v, list) else v for name, v in args.items()}
    if "interpolation" in args:
        args["interpolation"] = InterpolationMode(args["interpolation"])
    return getattr(transforms, op)(**args)


def as_tensor(value):
    return value.clone() if torch.is_tensor(value) else torch.from_numpy(np.array(value))


def run(op, args, x, seed, times):
    """The transform's repr, its outputs, and what its input is afterwards."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transform = build(op, args)
        given = torch.from_numpy(x.copy()) if op in ON_TENSORS else Image.fromarray(x)
        torch.manual_seed(seed)
        outputs = [as_tensor(transform(given)) for _ in range(times)]
    return str(transform), outputs, as_tensor(given)


def cases(op, make, count):
    for _ in range(count):
        x = make.tensor() if op in ON_TENSORS else make.image()
        seed = make.whole(0, 2**40)
        times = make.whole(2, 3) if op.startswith("Random") or op == "Compose" else 1
        while True:
            args = MAKERS[op](make, x)
            try:
                text, outputs, after = run(op, args, x, seed, times)
                # PIL's images without pixels are refused here.
                if all(output.numel() for output in outputs):
                    break
            except (ValueError, RuntimeError):  # an unlucky combination
                continue
        tensors = {f"y{i}": output for i, output in enumerate(outputs)}
        tensors |= {"x": torch.from_numpy(x.copy()), "next": torch.rand(1)}
        if args.get("inplace"):
            tensors["x_after"] = after
        yield {"op": op, "args": args, "seed": seed, "repr": text}, tensors
    for args, shape, parameter in REFUSED.get(op, []):
        x = make.numpy.random(shape, dtype=np.float32) if op in ON_TENSORS else make.noise(shape)
        try:
            run(op, args, x, 0, 1)
        except Exception as error:
            case = {"op": op, "args": args, "seed": 0, "raises": str(error), "parameter": parameter}
            yield case, {"x": torch.from_numpy(x)}
        else:
            raise SystemExit(f"torchvision takes {op} {args}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=24, help="of each transform, less those refused")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    images = digits()
    for number, op in enumerate(MAKERS):
        listed, tensors = [], {}
        for i, (case, named) in enumerate(cases(op, Maker(100 * options.seed + number, images), options.cases)):
            listed.append(case)
            tensors |= {f"{i}/{name}": tensor.contiguous() for name, tensor in named.items()}
        path = options.out / f"{op}.safetensors"
        save_file(tensors, path, metadata={"cases": json.dumps(listed)})
        refused = sum("raises" in case for case in listed)
        print(f"{path}: {len(listed)} cases, {refused} refused, {path.stat().st_size} bytes")


main()
