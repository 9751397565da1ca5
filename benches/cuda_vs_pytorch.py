"""PyTorch's side of the comparison on a card: `cargo bench --features cuda --bench cuda_vs_pytorch` starts it and sends it one task
a line. Each task is a JSON object, and so is each answer.

As a PyTorch user would write it for speed: the images are normalized once and lie on the card, a batch is taken there by
index, and a step is captured as a CUDA graph where the task says so.
"""

import contextlib
import json
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

from vs_pytorch import Large, Small, mnist


class Recipe(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 24, 5), nn.Conv2d(24, 32, 3)
        self.fc1, self.fc2 = nn.Linear(800, 256), nn.Linear(256, 10)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.conv2(x), 2))
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


def set_precision(name):
    """As what float32 numbers are multiplied: in convolutions, too."""
    tf32 = name == "high"
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cuda.matmul.allow_tf32 = tf32


class Side:
    def __init__(self, root, device):
        self.device = torch.device(device)
        self.cuda = self.device.type == "cuda"
        self.train_set = [x.to(self.device) for x in mnist(root, "train")]
        self.test_set = [x.to(self.device) for x in mnist(root, "t10k")]
        self.steps = {}

    def wait(self):
        if self.cuda:
            torch.cuda.synchronize()

    def autocast(self, precision):
        if precision != "medium":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def step(self, net, batch, graph, precision):
        """A function of the images' indices, which takes one step."""
        key = net, batch, graph, precision
        if key in self.steps:
            return self.steps[key]
        torch.manual_seed(0)
        model = {"small": Small, "large": Large}[net]().to(self.device)
        sgd = torch.optim.SGD(model.parameters(), 0.01, momentum=0.5)
        x, y = self.train_set
        losses = torch.zeros((), device=self.device)

        def run(chosen):
            sgd.zero_grad(set_to_none=True)
            with self.autocast(precision):
                loss = F.cross_entropy(model(x[chosen]), y[chosen])
            loss.backward()
            sgd.step()
            losses.add_(loss.detach())

        if not graph:
            self.steps[key] = run
            return run
        chosen = torch.arange(batch, device=self.device)
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):
                run(chosen)
        torch.cuda.current_stream().wait_stream(aside)
        captured = torch.cuda.CUDAGraph()
        with torch.cuda.graph(captured):
            run(chosen)

        def replay(indices):
            if len(indices) < batch:
                return run(indices)
            chosen.copy_(indices)
            captured.replay()

        self.steps[key] = replay
        return replay

    def train(self, net, batch, images, graph, precision):
        set_precision(precision)
        step = self.step(net, batch, graph, precision)
        self.wait()
        start = time.perf_counter()
        order = torch.randperm(len(self.train_set[0]))[:images].to(self.device)
        for at in range(0, images, batch):
            step(order[at : at + batch])
        self.wait()
        return time.perf_counter() - start

    def recipe(self, seed, epochs, images):
        set_precision("highest")
        torch.manual_seed(seed)
        self.model = Recipe().to(self.device)
        fused = {"fused": True} if self.cuda else {}
        adam = torch.optim.Adam(self.model.parameters(), betas=(0.7, 0.9), **fused)
        steps = -(-images // 256)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            adam, 0.01, epochs=epochs, steps_per_epoch=steps, cycle_momentum=False
        )
        x, y = self.train_set
        self.wait()
        start = time.perf_counter()
        for _ in range(epochs):
            order = torch.randperm(images).to(self.device)
            for at in range(0, images, 256):
                chosen = order[at : at + 256]
                adam.zero_grad()
                F.cross_entropy(self.model(x[chosen]), y[chosen]).backward()
                adam.step()
                schedule.step()
        self.wait()
        return time.perf_counter() - start

    def accuracy(self):
        x, y = self.test_set
        with torch.no_grad():
            found = [self.model(part).argmax(1) for part in x.split(1000)]
        return (torch.cat(found) == y).float().mean().item()


def main():
    root, device = sys.argv[1], sys.argv[2]
    side = Side(root, device)
    print(json.dumps({"version": torch.__version__}), flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        print(json.dumps({"answer": getattr(side, task.pop("task"))(**task)}), flush=True)


if __name__ == "__main__":
    main()
