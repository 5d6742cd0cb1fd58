"""The public PyTorch implementation of the paper (github.com/SaoYan/LearnToPayAttention), as a baseline for speed.

Its network and its training loop, written anew from a description of what they do; no code is taken from it. The
modules have its names, so that a test can read this network's weights by `payattention.load_peer` and compare outputs.
"""

import multiprocessing
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

MEAN, STD = (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)  # its constants
WORKERS = 8
LOG_EVERY = 10  # steps


class ConvBlock(nn.Module):
    """3x3 convolutions, each with batch norm and ReLU; in its last block each with a pool, too."""

    def __init__(self, in_channels: int, channels: int, count: int, pool: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(count):
            layers += [nn.Conv2d(in_channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
            layers += [nn.MaxPool2d(2)] if pool else []
            in_channels = channels
        self.op = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.op(x)
        return y


class Projector(nn.Module):
    """Layer 7 mapped up to the global feature's channels."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(in_channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.op(x)
        return y


class Attention(nn.Module):
    """Scores <u, l + g>, and the descriptor by their softmax, or by the mean of their sigmoids."""

    def __init__(self, channels: int, softmax: bool) -> None:
        super().__init__()
        self.softmax = softmax
        self.op = nn.Conv2d(channels, 1, 1, bias=False)

    def forward(self, local: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
        scores = self.op(local + query)  # (n, 1, h, w)
        if self.softmax:
            weights = scores.flatten(2).softmax(2).view_as(scores)
            return scores, (weights * local).flatten(2).sum(2)
        return scores, (scores.sigmoid() * local).flatten(2).mean(2)


class PeerVGG(nn.Module):
    """VGG with attention at layers 7, 10 and 13, taps before or after the pools; logits and scores of a batch."""

    def __init__(self, num_classes: int = 100, *, taps: str = "after", softmax: bool = False) -> None:
        super().__init__()
        self.taps = taps
        self.conv_block1 = ConvBlock(3, 64, 2)
        self.conv_block2 = ConvBlock(64, 128, 2)
        self.conv_block3 = ConvBlock(128, 256, 3)
        self.conv_block4 = ConvBlock(256, 512, 3)
        self.conv_block5 = ConvBlock(512, 512, 3)
        self.conv_block6 = ConvBlock(512, 512, 2, pool=True)
        self.dense = nn.Conv2d(512, 512, 1)  # of the size of what is left of the image, a 32nd
        self.projector = Projector(256, 512)
        self.attn1, self.attn2, self.attn3 = (Attention(512, softmax) for _ in range(3))
        self.classify = nn.Linear(3 * 512, num_classes)

    def forward(self, images: Tensor) -> list[Tensor]:
        x, local = self.conv_block2(self.conv_block1(images)), []
        for block in (self.conv_block3, self.conv_block4, self.conv_block5):
            x = block(x)
            pooled = F.max_pool2d(x, 2)
            local.append(x if self.taps == "before" else pooled)
            x = pooled
        query = self.dense(self.conv_block6(x))  # (n, 512, 1, 1)
        local[0] = self.projector(local[0])
        attentions = (self.attn1, self.attn2, self.attn3)
        scores, descriptors = zip(
            *(attend(level, query) for attend, level in zip(attentions, local, strict=True)), strict=True
        )
        return [self.classify(torch.cat(descriptors, dim=1)), *scores]


class Pictures(Dataset[tuple[Tensor, int]]):
    """CIFAR-like arrays as torchvision's CIFAR classes give them: a PIL picture each, transformed one by one."""

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
        self.images, self.labels = images, labels
        crop = [v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip()]
        self.transform = v2.Compose(
            [*crop, v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


class PeerLoop:
    """Its training loop: a batch, a step of SGD; every tenth step the batch once more, in evaluation mode, for the log.

    That second pass is not under `no_grad`, as in the original.
    """

    def __init__(self, net: PeerVGG, data: Pictures, batch_size: int, workers: int = WORKERS) -> None:
        self.net = net
        self.loader = DataLoader(data, batch_size=batch_size, shuffle=True, num_workers=workers)
        self.optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
        self.running = 0.0
        self.batches = self._endless()

    def step(self) -> tuple[Tensor, Tensor]:
        """One step; gives its batch."""
        images, labels = next(self.batches)
        self.net.train()
        self.net.zero_grad()
        self.optimizer.zero_grad()
        logits, *_ = self.net(images)
        loss = F.cross_entropy(logits, labels)
        loss.backward()
        self.optimizer.step()
        return images, labels

    def log(self, images: Tensor, labels: Tensor) -> None:
        """What is done every tenth step."""
        self.net.eval()
        logits, *_ = self.net(images)
        accuracy = (logits.argmax(1) == labels).float().mean().item()
        self.running = 0.9 * self.running + 0.1 * accuracy

    def _endless(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from self.loader


class PeerProcess:
    """The public implementation in a process of its own, with the settings that its own script would have.

    Ours changes how this process's allocator and threads behave; theirs is not to gain by it.
    """

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.int64], batch_size: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.asked, served = context.Pipe()
        self.process = context.Process(target=_serve, args=(served, images, labels, batch_size))

    def __enter__(self) -> "PeerProcess":
        self.process.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.asked.send(None)
        self.process.join()

    def seconds(self, action: str, count: int = 1) -> float:
        """Seconds of "train" (steps), "log" (the pass after one) or "infer" (a batch), so many times."""
        self.asked.send((action, count))
        taken: float = self.asked.recv()
        return taken


def _serve(served: Connection, images: NDArray[np.uint8], labels: NDArray[np.int64], batch_size: int) -> None:
    torch.manual_seed(0)
    loop = PeerLoop(PeerVGG(), Pictures(images, labels), batch_size)
    picture = torch.rand(batch_size, 3, 32, 32)
    batch: tuple[Any, ...] = (picture, torch.zeros(batch_size, dtype=torch.long))
    while (asked := served.recv()) is not None:
        action, count = asked
        if action == "infer":
            loop.net.eval()
        start = time.perf_counter()
        for _ in range(count):
            if action == "train":
                batch = loop.step()
            elif action == "log":
                loop.log(*batch)
            else:
                with torch.inference_mode():
                    loop.net(picture)
        served.send(time.perf_counter() - start)
