"""PyTorch's side of the comparison: `cargo bench --bench vs_pytorch` starts it and sends it one task a line.

Each task is a JSON object, and so is each answer. It does what examples/train.rs does, as a PyTorch user would
write it for speed: the images are normalized once and lie in memory as floats, a batch is taken by index.
"""

import gzip
import json
import resource
import struct
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 10, 5), nn.Conv2d(10, 20, 5)
        self.fc1, self.fc2 = nn.Linear(320, 50), nn.Linear(50, 10)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.conv2(x), 2))
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


class Large(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 3)
        self.fc1, self.fc2 = nn.Linear(9216, 128), nn.Linear(128, 10)

    def forward(self, x):
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        return self.fc2(F.relu(self.fc1(F.max_pool2d(x, 2).flatten(1))))


def sized(size):
    """The small net's convolutions and one linear layer, for images of any size."""
    side = ((size - 4) // 2 - 4) // 2
    return nn.Sequential(
        nn.Conv2d(1, 10, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(10, 20, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(20 * side * side, 10),
    )


def mnist(root, name):
    with gzip.open(f"{root}/{name}-images-idx3-ubyte.gz") as file:
        n, h, w = struct.unpack(">4xIII", file.read(16))
        images = np.frombuffer(file.read(), dtype=np.uint8).reshape(n, 1, h, w)
    with gzip.open(f"{root}/{name}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), dtype=np.uint8, offset=8)
    images = (torch.from_numpy(images.copy()).float() / 255 - 0.1307) / 0.3081
    return images, torch.from_numpy(labels.astype(np.int64))


class Side:
    def __init__(self, root, variant):
        self.variant = variant
        self.train_set, self.test_set = mnist(root, "train"), mnist(root, "t10k")
        self.nets = {}

    def net(self, name):
        if name not in self.nets:
            torch.manual_seed(0)
            net = {"small": Small, "large": Large}[name]() if isinstance(name, str) else sized(name)
            if "channels_last" in self.variant:
                net = net.to(memory_format=torch.channels_last)
            sgd = torch.optim.SGD(net.parameters(), 0.01, momentum=0.5)
            if "compile" in self.variant:
                net = torch.compile(net)
            self.nets[name] = net, sgd
        return self.nets[name]

    def place(self, images):
        if "channels_last" in self.variant:
            return images.contiguous(memory_format=torch.channels_last)
        return images

    def train(self, net, batch, images):
        model, sgd = self.net(net)
        x, y = self.train_set
        order = torch.randperm(len(x))[:images]
        start = time.perf_counter()
        for at in range(0, images, batch):
            chosen = order[at : at + batch]
            sgd.zero_grad()
            loss = F.cross_entropy(model(self.place(x[chosen])), y[chosen])
            loss.backward()
            sgd.step()
            loss.item()
        return time.perf_counter() - start

    def evaluate(self, net, batch, repeat):
        model, _ = self.net(net)
        x, y = self.test_set
        right = 0
        start = time.perf_counter()
        with torch.no_grad():
            for at in list(range(0, len(x), batch)) * repeat:
                logits = model(self.place(x[at : at + batch]))
                right += (logits.argmax(1) == y[at : at + batch]).sum().item()
        return (time.perf_counter() - start) / repeat

    def sized(self, batch, size, repeat):
        model, sgd = self.net(size)
        x = self.place(torch.randn(batch, 1, size, size))
        start = time.perf_counter()
        for _ in range(repeat):
            sgd.zero_grad()
            model(x).square().mean().backward()
        return (time.perf_counter() - start) / repeat


def main():
    root, variant, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    torch.set_num_threads(threads)
    side = Side(root, variant)
    print(json.dumps({"version": torch.__version__}), flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        name = task.pop("task")
        if name == "memory":
            answer = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        else:
            answer = getattr(side, name)(**task)
        print(json.dumps({"answer": answer}), flush=True)


if __name__ == "__main__":
    main()
