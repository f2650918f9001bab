"""Both cases in PyTorch: seed 003's own networks and loop, and seed 000's networks in
the loop of PyTorch's DCGAN tutorial (the seed itself is in TensorFlow)."""

import contextlib

import torch
from torch import nn
from torch.nn import functional as F


def sprite_networks(case):
    """Seed 003's networks; the discriminator ends in a sigmoid, as there."""
    doublings = (case["size"] // 4).bit_length() - 1
    width, before = case["generator_widths"], case["latent_dim"]
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

    width, before, layers = case["discriminator_widths"], case["channels"], []
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


def tutorial_networks(case):
    """Seed 000's networks, translated: Keras' "same" as paddings."""
    side, widths = case["size"] // 4, case["generator_widths"]
    generator = nn.Sequential(
        nn.Flatten(),
        nn.Linear(case["latent_dim"], side * side * widths[0], bias=False),
        nn.BatchNorm1d(side * side * widths[0], eps=1e-3, momentum=0.01),
        nn.LeakyReLU(0.3, True),
        nn.Unflatten(1, (widths[0], side, side)),
        nn.ConvTranspose2d(widths[0], widths[1], 5, 1, 2, bias=False),
        nn.BatchNorm2d(widths[1], eps=1e-3, momentum=0.01),
        nn.LeakyReLU(0.3, True),
        nn.ConvTranspose2d(widths[1], widths[2], 5, 2, 2, 1, bias=False),
        nn.BatchNorm2d(widths[2], eps=1e-3, momentum=0.01),
        nn.LeakyReLU(0.3, True),
        nn.ConvTranspose2d(widths[2], case["channels"], 5, 2, 2, 1, bias=False),
        nn.Tanh(),
    )
    before, layers = case["channels"], []
    for width in case["discriminator_widths"]:
        layers += [nn.Conv2d(before, width, 5, 2, 2), nn.LeakyReLU(0.3, True)]
        layers += [nn.Dropout(0.3)]
        before = width
    layers += [nn.Flatten(), nn.Linear(side * side * before, 1), nn.Sigmoid()]
    return generator, nn.Sequential(*layers)


class Torch:
    """compiled: both networks through `torch.compile`. dtype: "float32", or "bfloat16"
    by autocast. channels_last: the memory layout that oneDNN prefers."""

    def __init__(
        self, case, pictures, compiled=False, dtype="float32", channels_last=False
    ):
        torch.manual_seed(0)
        self.case = case
        sprites = case["name"] == "sprites64"
        networks = (sprite_networks if sprites else tutorial_networks)(case)
        self.step = self.seed_step if sprites else self.tutorial_step
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.plain = [network.to(memory_format=layout) for network in networks]
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

    def seed_step(self, real):
        """Seed 003: the fakes are not detached, so that the discriminator's backward
        pass goes on through the generator, for gradients that nobody uses."""
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

    def tutorial_step(self, real):
        """PyTorch's DCGAN tutorial: one batch of fakes, detached for the first half."""
        g_optimizer, d_optimizer = self.optimizers
        d_optimizer.zero_grad()
        with self.precision():
            d_real = self.cross_entropy(self.discriminator(real), 1.0)
            fakes = self.generator(self.latents())
            d_fake = self.cross_entropy(self.discriminator(fakes.detach()), 0.0)
        (0.5 * (d_real + d_fake)).backward()
        d_optimizer.step()
        g_optimizer.zero_grad()
        with self.precision():
            loss = self.cross_entropy(self.discriminator(fakes), 1.0)
        loss.backward()
        g_optimizer.step()
        return d_real.item(), d_fake.item(), loss.item()

    def train(self, steps):
        for _ in range(steps):
            batch = next(self.batches, None)
            if batch is None:
                self.batches = iter(self.loader)
                batch = next(self.batches)
            self.step(batch[0].contiguous(memory_format=self.layout))

    def weights(self):
        return [[p.detach().numpy().copy() for p in n.parameters()] for n in self.plain]
