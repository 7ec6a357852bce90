"""Small GANs on a ring of eight Gaussians: the truth is known, so lost modes can be counted.

Several discriminators, each with a generator of its own, are trained side by side: the same start,
the same points and noise, and nothing else in common. Float32, and adversaries amplify rounding: a
seed ends otherwise on another processor, so what a chapter tells comes from a stored study.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch.nn import functional

from normcourse.lab.training import one_thread

__all__ = ["CENTRES", "MODES", "STD", "Game", "Variant", "hits", "modes", "ring", "train"]

MODES, RADIUS, STD = 8, 2.0, 0.1
CENTRES = RADIUS * np.stack(
    [f(2 * np.pi * np.arange(MODES) / MODES) for f in (np.cos, np.sin)], axis=1
)
NOISE, HIDDEN = 8, 64


@dataclass(frozen=True)
class Variant:
    """How a discriminator is kept in bounds.

    Args:
        spectral: divide each weight by its largest singular value, one step of power iteration
            for each update.
        clip: clip weights and biases to ±clip after each update.
        scale: the logit is so many times the network's output, which then bounds its gradient.
    """

    spectral: bool = False
    clip: float = float("inf")
    scale: float = 1.0


def ring(n, rng):
    """(n, 2) points: a mode of the ring at random, and a normal deviation of std ``STD``."""
    return CENTRES[rng.integers(MODES, size=n)] + rng.normal(0, STD, (n, 2))


def hits(points, reach=3 * STD):
    """(..., modes): the share of points (..., n, 2) that lie within ``reach`` of each centre."""
    return (np.linalg.norm(points[..., None, :] - CENTRES, axis=-1) < reach).mean(-2)


def modes(points):
    """How many modes hold 2 % of the points or more; a fair share were 12.5 %."""
    return (hits(points) >= 0.02).sum(-1)


class Stack:
    """The same network several times: linear layers with ReLU between them, He initialization."""

    def __init__(self, copies, sizes, rng):
        self.weights, self.biases = [], []
        for inputs, outputs in pairwise(sizes):
            weight = _tensor(rng.normal(0, (2 / inputs) ** 0.5, (outputs, inputs)))
            self.weights.append(weight.repeat(copies, 1, 1).requires_grad_())
            self.biases.append(torch.zeros(copies, 1, outputs, requires_grad=True))

    @property
    def parameters(self):
        return [*self.weights, *self.biases]

    def __call__(self, x, weights=None):
        """(copies, n, outputs) of x (copies, n, inputs), with its own or other weights."""
        for i, (w, b) in enumerate(zip(weights or self.weights, self.biases, strict=True)):
            x = torch.baddbmm(b, functional.relu(x) if i else x, w.mT)
        return x


class Game:
    """Generators and discriminators of some :class:`Variant`, and the state of their training."""

    def __init__(self, variants, rng):
        self.variants, count = tuple(variants), len(variants)
        self.generator = Stack(count, (NOISE, HIDDEN, HIDDEN, 2), rng)
        self.discriminator = Stack(count, (2, HIDDEN, HIDDEN, 1), rng)

        def of_each(name):
            return torch.tensor([getattr(v, name) for v in self.variants])[:, None, None]

        self.spectral, self.clip, self.scale = map(of_each, ("spectral", "clip", "scale"))
        self.u = []
        for w in self.discriminator.weights:
            u = _tensor(rng.normal(size=(w.shape[1], 1))).repeat(count, 1, 1)
            self.u.append(functional.normalize(u, dim=1))
        self.v = [functional.normalize(w.mT @ u, dim=1).detach() for w, u in self.layers()]
        self.iterate(15)

    def layers(self):
        return list(zip(self.discriminator.weights, self.u, strict=True))

    @torch.no_grad()
    def iterate(self, n=1):
        """``n`` steps of power iteration for each weight."""
        for k, w in enumerate(self.discriminator.weights):
            for _ in range(n):
                self.u[k] = functional.normalize(w @ self.v[k], dim=1)
                self.v[k] = functional.normalize(w.mT @ self.u[k], dim=1)

    def weights(self):
        """The discriminators' weights, divided by sigma where they are to be."""
        found = []
        for (w, u), v in zip(self.layers(), self.v, strict=True):
            found.append(w / torch.where(self.spectral, u.mT @ w @ v, 1.0))
        return found

    def logits(self, x):
        """(copies, n, 1) of points (copies, n, 2)."""
        return self.scale * self.discriminator(x, self.weights())

    def generate(self, n, rng):
        """(copies, n, 2) points of the generators, of the same noise."""
        return self.generator(self._repeat(rng.normal(size=(n, NOISE))))

    def points(self, n, rng):
        """What :meth:`generate` gives, as an array."""
        with torch.no_grad():
            return self.generate(n, rng).double().numpy()

    def gradients(self, points):
        """(copies, n) lengths of the logit's gradient with respect to points (n, 2)."""
        x = self._repeat(points).requires_grad_()
        (gradient,) = torch.autograd.grad(self.logits(x).sum(), x)
        return gradient.norm(dim=2).numpy()

    def _repeat(self, x):
        return _tensor(x).expand(len(self.variants), -1, -1)


def train(variants, steps=2000, rng=0, lr=1e-3, batch=64, looks=8):
    """One step of the discriminators, one of the generators, in turns: Adam, logistic losses.

    The generator's loss is the non-saturating one, -log D(G(z)).

    Args:
        variants: list of :class:`Variant`.
        steps: updates of each.
        rng: numpy Generator, or a seed for one.
        lr, batch: of both.
        looks: how often the gradient and the modes are looked at, in equal distances.

    Returns:
        (game, gradient, modes): the :class:`Game`, and for each look and variant the largest
        gradient of the logit on a grid over the ring, and how many modes the generator held.
    """
    rng = np.random.default_rng(rng)
    game, seen = Game(variants, rng), []
    players = game.discriminator, game.generator
    by_d, by_g = (torch.optim.Adam(p.parameters, lr, (0.5, 0.9)) for p in players)
    with one_thread():
        for step in range(1, steps + 1):
            real = game._repeat(ring(batch, rng))
            with torch.no_grad():
                fake = game.generate(batch, rng)
            game.iterate()
            of_real, of_fake = game.logits(torch.cat([real, fake], 1)).split(batch, 1)
            _update(by_d, functional.softplus(-of_real) + functional.softplus(of_fake))
            with torch.no_grad():
                for p in game.discriminator.parameters:
                    p.copy_(torch.minimum(torch.maximum(p, -game.clip), game.clip))
            _update(by_g, functional.softplus(-game.logits(game.generate(batch, rng))))
            if step * looks // steps > (step - 1) * looks // steps:
                largest = game.gradients(grid()).max(1)
                seen.append((largest, modes(game.points(1000, rng))))
    gradient, held = (np.array(s, float) for s in zip(*seen, strict=True))
    return game, gradient, held


def grid(n=41):
    """(n², 2) points of a square that holds the ring."""
    line = np.linspace(-3, 3, n)
    return np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)


def _tensor(x):
    return torch.tensor(np.asarray(x), dtype=torch.float32)


def _update(optimizer, losses):
    """A step on the mean over the points, of each copy by itself."""
    optimizer.zero_grad()
    losses.mean(1).sum().backward()
    optimizer.step()
