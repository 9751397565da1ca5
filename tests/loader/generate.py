"""Writes loader.json beside it, with PyTorch: python tests/loader/generate.py"""

import json
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset


class Numbers(Dataset):
    """Images that are their own number."""

    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        return torch.tensor(float(index)), index


class Noise(Numbers):
    """Images of one random pixel."""

    def __getitem__(self, index):
        return torch.rand(1), index


def passes(loader, lengths):
    """One pass for each length: how many batches are taken, or None for all."""
    found = []
    for length in lengths:
        order = []
        for number, (_, targets) in enumerate(loader, 1):
            order += targets.tolist()
            if number == length:
                break
        found.append(order)
    return found


def main():
    own = []
    seed = 0
    for n, batch_size in [(10, 4), (12, 4), (7, 1), (5, 8), (40, 3)]:
        for shuffle, drop_last, num_workers, prefetch_factor in [
            (True, False, 0, None),
            (True, True, 0, None),
            (False, False, 0, None),
            (True, False, 2, None),
            (True, True, 1, 3),
            (False, True, 3, 1),
        ]:
            if drop_last and batch_size > n:
                continue
            seed += 1
            torch.manual_seed(99)
            generator = torch.Generator().manual_seed(seed)
            options = dict(batch_size=batch_size, shuffle=shuffle, drop_last=drop_last)
            options |= dict(num_workers=num_workers, prefetch_factor=prefetch_factor)
            loader = DataLoader(Numbers(n), generator=generator, **options)
            batches = len(loader)
            lengths = [None, 1, None, batches, None, max(1, batches // 2), None]
            case = dict(n=n, seed=seed, **options, lengths=lengths, orders=passes(loader, lengths))
            case["global_after"] = torch.rand(1).item()
            case["generator_after"] = torch.rand(1, generator=generator).item()
            own.append(case)
    noise = []
    for num_workers in range(5):
        for own_seed in [None, 11]:
            torch.manual_seed(7)
            generator = torch.Generator().manual_seed(own_seed) if own_seed is not None else None
            options = dict(batch_size=3, shuffle=True, num_workers=num_workers)
            loader = DataLoader(Noise(11), generator=generator, **options)
            epochs = [[images.flatten().tolist() for images, _ in loader] for _ in range(2)]
            noise.append(dict(n=11, seed=7, own_seed=own_seed, **options, epochs=epochs))
    path = Path(__file__).parent / "loader.json"
    path.write_text(json.dumps(dict(own=own, noise=noise)) + "\n")


if __name__ == "__main__":
    main()
