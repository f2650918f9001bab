"""sprites64 in PyTorch: the networks and the loop that its author wrote."""

import contextlib

import torch
from torch import nn
from torch.nn import functional as F


def networks(case):
    """Returns (generator, discriminator); the latter ends in a sigmoid."""
    doublings = (case["size"] // 4).bit_length() - 1
    width, before = case["width"], case["latent_dim"]
    layers = []
    for stage in range(doublings):
        after = width // 2 if stage == doublings - 1 else width
        stride, padding = (2, 1) if stage else (1, 0)
        layers += [
            nn.ConvTranspose2d(before, after, 4, stride, padding, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(True),
        ]
        before = after
    layers += [nn.ConvTranspose2d(before, case["channels"], 4, 2, 1, bias=False)]
    generator = nn.Sequential(*layers, nn.Tanh())

    before, layers = case["channels"], []
    for stage in range(doublings):
        after = width if stage else width // 2
        layers += [
            nn.Conv2d(before, after, 4, 2, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.LeakyReLU(0.2, True),
        ]
        before = after
    layers += [nn.Flatten(), nn.Linear(16 * width, 1), nn.Sigmoid()]
    return generator, nn.Sequential(*layers)


class Torch:
    """compiled: both networks through `torch.compile`. dtype: "float32", or "bfloat16"
    by autocast. channels_last: the memory layout that oneDNN prefers."""

    def __init__(
        self, case, pictures, compiled=False, dtype="float32", channels_last=False
    ):
        torch.manual_seed(0)
        self.case = case
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.plain = [network.to(memory_format=layout) for network in networks(case)]
        ready = [torch.compile(n) if compiled else n for n in self.plain]
        self.generator, self.discriminator = ready
        options = {"lr": case["rate"], "betas": tuple(case["betas"])}
        self.optimizers = [
            torch.optim.Adam(n.parameters(), **options) for n in self.plain
        ]
        self.precision = contextlib.nullcontext
        if dtype == "bfloat16":
            self.precision = lambda: torch.autocast("cpu", dtype=torch.bfloat16)
        floats = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1.0
        data = torch.utils.data.TensorDataset(floats)
        self.loader = torch.utils.data.DataLoader(
            data, batch_size=case["batch"], shuffle=True, drop_last=True
        )
        self.layout = layout
        self.batches = iter(())

    def latents(self):
        return torch.randn(self.case["batch"], self.case["latent_dim"], 1, 1)

    def targets(self, value):
        return torch.full((self.case["batch"], 1), value)

    def cross_entropy(self, predictions, value):
        return F.binary_cross_entropy(predictions.float(), self.targets(value))

    def step(self, real):
        """Takes a step as the author does: the fakes are not detached, so that the
        discriminator's backward pass goes on through the generator, for gradients that
        nobody uses."""
        g_optimizer, d_optimizer = self.optimizers
        d_optimizer.zero_grad()
        with self.precision():
            real_predictions = self.discriminator(real)
            real_loss = self.cross_entropy(real_predictions, 0.2)
            fakes = self.generator(self.latents())
            fake_predictions = self.discriminator(fakes)
            fake_loss = self.cross_entropy(fake_predictions, 1.0)
        total_loss = real_loss + fake_loss
        real_score = real_predictions.mean().item()
        fake_score = fake_predictions.mean().item()
        if fake_score < 0.95:
            total_loss.backward()
            d_optimizer.step()

        g_optimizer.zero_grad()
        with self.precision():
            predictions = self.discriminator(self.generator(self.latents()))
            loss = self.cross_entropy(predictions, 0.0)
        loss.backward()
        g_optimizer.step()
        return total_loss.item(), real_score, fake_score, loss.item()

    def train(self, steps):
        for _ in range(steps):
            batch = next(self.batches, None)
            if batch is None:
                self.batches = iter(self.loader)
                batch = next(self.batches)
            self.step(batch[0].contiguous(memory_format=self.layout))

    def weights(self):
        return [[p.detach().numpy().copy() for p in n.parameters()] for n in self.plain]
