"""Writes the files beside it, with PyTorch: python tests/pt/generate.py"""

from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

here = Path(__file__).parent


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 10, 5)
        self.conv2 = nn.Conv2d(10, 20, 5)
        self.fc1 = nn.Linear(320, 50)
        self.fc2 = nn.Linear(50, 10)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.conv2(x), 2))
        x = F.relu(self.fc1(x.flatten(1)))
        return self.fc2(x)


def save(obj, name, **options):
    torch.save(obj, here / f"{name}.pt", **options)
    torch.save(obj, here / f"{name}_legacy.pt", _use_new_zipfile_serialization=False, **options)


torch.manual_seed(20)
net = Net()
images = torch.rand(4, 1, 28, 28)
save(net.state_dict(), "net")
with torch.no_grad():
    save_file({"images": images, "logits": net(images)}, here / "net.safetensors")

# Every dtype, strides, offsets, shared storages, a parameter, sizes of 0 and none at all.
storage = torch.arange(60, dtype=torch.float32)
numbers = torch.tensor([-1.5, 0.0, 3.25, 1000.0])
tensors = OrderedDict(
    f64=numbers.double() / 3,
    f32=numbers / 3,
    f16=numbers.half(),
    bf16=numbers.bfloat16(),
    i64=torch.tensor([-(2**40), 0, 2**62]),
    i32=torch.tensor([-(2**31), 7], dtype=torch.int32),
    i16=torch.tensor([-300, 300], dtype=torch.int16),
    u8=torch.tensor([0, 128, 255], dtype=torch.uint8),
    bool=torch.tensor([True, False, True]),
    transposed=torch.arange(6.0).reshape(2, 3).t(),
    permuted=torch.arange(24.0).reshape(2, 3, 4).permute(2, 0, 1),
    channels_last=torch.arange(48.0).reshape(2, 3, 2, 4).to(memory_format=torch.channels_last),
    expanded=torch.tensor([[1.0], [2.0]]).expand(2, 3),
    every_third=storage[4:40:3],
    window=storage.reshape(6, 10)[2:5, 3:7],
    overlapping=storage.as_strided((4, 5), (2, 1), 7),
    tied=storage,
    parameter=nn.Parameter(torch.tensor([[0.5, -0.5]])),
    scalar=torch.tensor(2.5),
    empty=torch.zeros(0, 3),
)
save(tensors, "tensors")
save(tensors, "tensors_protocol4", pickle_protocol=4)
plain = {name: t.detach().to(torch.uint8 if t.dtype == torch.bool else t.dtype) for name, t in tensors.items()}
save_file({name: t.contiguous().clone() for name, t in plain.items()}, here / "tensors.safetensors")

# What is no state dict.
save({"epoch": 3, "model": {"weight": torch.ones(2)}}, "checkpoint")
save(torch.ones(2), "tensor")
save({"weight": torch.tensor([1 + 2j])}, "complex")
