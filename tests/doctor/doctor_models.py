"""Sound architectures in small, freshly initialized: the doctor has little to say about them."""

import torch
from doctor_cases import RMS
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

MODELS = {}


def model(make):
    """Into the table: from nothing to (a model, a batch)."""

    def seeded():
        torch.manual_seed(0)
        return make()

    MODELS[make.__name__] = seeded
    return seeded


def images(n=4, size=32):
    return torch.randn(n, 3, size, size)


def conv(inputs, outputs, kernel=3, stride=1, groups=1, **options):
    """Convolution, batch norm, activation."""
    act = options.pop("act", nn.ReLU(inplace=True))
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs, **options), act)


class Basic(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1, self.relu = nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        nn.init.zeros_(self.bn2.weight)
        self.downsample = nn.Identity()
        if stride > 1 or inputs != outputs:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + self.downsample(x))


@model
def resnet18():
    layers, inputs = [conv(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)], 64
    for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [Basic(inputs, outputs, stride), Basic(outputs, outputs, 1)]
        inputs = outputs
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10)]
    return nn.Sequential(*layers), images(8, 64)


class Inverted(nn.Module):
    def __init__(self, width, squeeze=0, **options):
        super().__init__()
        hidden = 4 * width
        self.expand = conv(width, hidden, 1, **options)
        self.depthwise = conv(hidden, hidden, 3, groups=hidden, **options)
        self.squeeze = None
        if squeeze:
            self.squeeze = nn.Sequential(
                nn.AdaptiveAvgPool2d(1), nn.Conv2d(hidden, squeeze, 1), nn.SiLU(),
                nn.Conv2d(squeeze, hidden, 1), nn.Sigmoid(),
            )  # fmt: skip
        self.project = conv(hidden, width, 1, **options | {"act": nn.Identity()})

    def forward(self, x):
        y = self.depthwise(self.expand(x))
        y = y * self.squeeze(y) if self.squeeze is not None else y
        return x + self.project(y)


@model
def mobilenet():
    layers = conv(3, 16, stride=2), Inverted(16), Inverted(16), conv(16, 64, 1)
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, 10)
    return nn.Sequential(*layers, *head), images()


@model
def efficientnet():
    options = {"eps": 1e-3, "momentum": 0.01}
    blocks = [Inverted(16, squeeze=4, act=nn.SiLU(), **options) for _ in range(3)]
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)
    return nn.Sequential(conv(3, 16, act=nn.SiLU(), stride=2, **options), *blocks, *head), images()


@model
def mobilenet_features():
    """A backbone: its output is that of a linear bottleneck."""
    layers = conv(3, 16, stride=2), Inverted(16), conv(16, 64, 1)
    return nn.Sequential(*layers), images()


class ChannelsFirst(nn.LayerNorm):
    def forward(self, x):
        x = x.permute(0, 2, 3, 1)
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps).permute(
            0, 3, 1, 2
        )


class ConvNeXtBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.scale = nn.Parameter(1e-6 * torch.ones(width))

    def forward(self, x):
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.scale * self.down(F.gelu(self.up(y)))
        return x + y.permute(0, 3, 1, 2)


@model
def convnext():
    layers = nn.Conv2d(3, 16, 4, 4), ChannelsFirst(16, eps=1e-6), ConvNeXtBlock(16)
    more = ChannelsFirst(16, eps=1e-6), nn.Conv2d(16, 32, 2, 2), ConvNeXtBlock(32)
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(32, eps=1e-6), nn.Linear(32, 10)
    return nn.Sequential(*layers, *more, *head), images()


class Attention(nn.Module):
    def __init__(self, width, heads=4, causal=False, bias=True, qk_norm=None):
        super().__init__()
        self.qkv, self.out = nn.Linear(width, 3 * width, bias), nn.Linear(width, width, bias)
        self.heads, self.causal = heads, causal
        self.q_norm = qk_norm(width // heads) if qk_norm else nn.Identity()
        self.k_norm = qk_norm(width // heads) if qk_norm else nn.Identity()

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = self.q_norm(q), self.k_norm(k)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.out(y.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Pre-LN, or Post-LN."""

    def __init__(self, width, norm=nn.LayerNorm, pre=True, **options):
        super().__init__()
        self.norm1, self.norm2, self.pre = norm(width), norm(width), pre
        self.attention = Attention(width, **options)
        bias = options.get("bias", True)
        wide = nn.Linear(width, 4 * width, bias), nn.GELU(), nn.Linear(4 * width, width, bias)
        self.mlp, self.dropout = nn.Sequential(*wide), nn.Dropout(0.1)

    def forward(self, x):
        if self.pre:
            x = x + self.dropout(self.attention(self.norm1(x)))
            return x + self.dropout(self.mlp(self.norm2(x)))
        x = self.norm1(x + self.dropout(self.attention(x)))
        return self.norm2(x + self.dropout(self.mlp(x)))


class Tokens(nn.Module):
    def __init__(self, width, blocks, final, head, words=50, length=12, embedding_norm=None):
        super().__init__()
        self.tokens, self.places = nn.Embedding(words, width), nn.Embedding(length, width)
        self.norm = embedding_norm or nn.Identity()
        self.blocks, self.final, self.head = nn.Sequential(*blocks), final, head

    def forward(self, ids):
        x = self.tokens(ids) + self.places(torch.arange(ids.shape[1]))
        return self.head(self.final(self.blocks(self.norm(x))))


def words(n=4, length=12):
    return torch.randint(0, 50, (n, length))


@model
def vit():
    class ViT(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches = nn.Conv2d(3, 32, 8, 8)
            self.blocks = nn.Sequential(*(Block(32) for _ in range(4)))
            self.cls = nn.Parameter(torch.zeros(1, 1, 32))
            self.norm, self.head = nn.LayerNorm(32, eps=1e-6), nn.Linear(32, 10)

        def forward(self, x):
            x = self.patches(x).flatten(2).transpose(1, 2)
            x = self.blocks(torch.cat([self.cls.expand(len(x), -1, -1), x], 1))
            return self.head(self.norm(x)[:, 0])

    return ViT(), images()


@model
def bert():
    def norm(width):
        return nn.LayerNorm(width, eps=1e-12)

    blocks = [Block(32, norm, pre=False) for _ in range(6)]
    for module in (m for block in blocks for m in block.modules() if isinstance(m, nn.Linear)):
        nn.init.normal_(module.weight, 0, 0.02)
    return Tokens(32, blocks, nn.Identity(), nn.Identity(), embedding_norm=norm(32)), words()


@model
def gpt2():
    blocks = [Block(32, causal=True) for _ in range(4)]
    return Tokens(32, blocks, nn.LayerNorm(32), nn.Linear(32, 50, bias=False)), words()


@model
def llama():
    blocks = [Block(32, RMS, causal=True, bias=False) for _ in range(4)]
    net = Tokens(32, blocks, RMS(32), nn.Linear(32, 50, bias=False))
    return net.bfloat16(), words()


@model
def qwen_with_torch_norms():
    def norm(width):
        return nn.RMSNorm(width, eps=1e-6)

    blocks = [Block(32, norm, causal=True, bias=False, qk_norm=norm) for _ in range(2)]
    return Tokens(32, blocks, norm(32), nn.Linear(32, 50, bias=False)), words()


@model
def gemma():
    def norm(width):
        made = RMS(width, "after", offset=1.0)
        return made

    blocks = [Block(32, norm, causal=True, bias=False) for _ in range(2)]
    return Tokens(32, blocks, norm(32), nn.Linear(32, 50, bias=False)).bfloat16(), words()


@model
def olmo():
    """Layer norms without parameters, and no bias anywhere."""

    def norm(width):
        return nn.LayerNorm(width, elementwise_affine=False)

    blocks = [Block(32, norm, causal=True, bias=False) for _ in range(2)]
    return Tokens(32, blocks, norm(32), nn.Linear(32, 50, bias=False)), words()


@model
def unet():
    class UNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.down = conv(3, 16), conv(16, 32, stride=2)
            self.up = nn.ConvTranspose2d(32, 16, 2, 2)
            self.last, self.out = conv(32, 16), nn.Conv2d(16, 2, 1)

        def forward(self, x):
            x = self.first(x)
            return self.out(self.last(torch.cat([x, self.up(self.down(x))], 1)))

    return UNet(), images()


@model
def diffusion_unet():
    def norm(width):
        return nn.GroupNorm(8, width, eps=1e-6)

    layers = nn.Conv2d(3, 32, 3, padding=1), norm(32), nn.SiLU(), nn.Conv2d(32, 32, 3, padding=1)
    return nn.Sequential(*layers, norm(32), nn.SiLU(), nn.Conv2d(32, 3, 3, padding=1)), images()


@model
def vae():
    class VAE(nn.Module):
        def __init__(self):
            super().__init__()
            self.encode = nn.Sequential(conv(3, 16, stride=2), nn.Flatten(), nn.Linear(4096, 16))
            self.decode = nn.Sequential(
                nn.Linear(8, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Linear(256, 3072)
            )

        def forward(self, x):
            mean, log_var = self.encode(x).chunk(2, 1)
            z = mean + torch.randn_like(mean) * (0.5 * log_var).exp()
            return self.decode(z).view_as(x), mean, log_var

    return VAE(), images()


@model
def discriminator():
    def spectral(layer):
        return parametrizations.spectral_norm(layer)

    layers = spectral(nn.Conv2d(3, 16, 4, 2, 1)), nn.LeakyReLU(0.2), spectral(nn.Conv2d(16, 32, 4))
    return nn.Sequential(*layers, nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(5408, 1)), images()


@model
def dcgan_generator():
    layers = nn.ConvTranspose2d(16, 32, 4, bias=False), nn.BatchNorm2d(32), nn.ReLU(True)
    more = nn.ConvTranspose2d(32, 16, 4, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(True)
    last = nn.ConvTranspose2d(16, 3, 4, 2, 1, bias=False), nn.Tanh()
    return nn.Sequential(*layers, *more, *last), torch.randn(8, 16, 1, 1)


@model
def style_transfer():
    layers = nn.Conv2d(3, 16, 9, padding=4), nn.InstanceNorm2d(16, affine=True), nn.ReLU()
    return nn.Sequential(*layers, nn.Conv2d(16, 3, 9, padding=4)), images()


@model
def recurrent():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.read, self.norm = nn.LSTM(6, 16, batch_first=True), nn.LayerNorm(16)
            self.out = nn.Linear(16, 4)

        def forward(self, x):
            return self.out(self.norm(self.read(x)[0]))

    return Recurrent(), torch.randn(4, 9, 6)


@model
def cell_with_layer_norm():
    """One layer norm for all time steps, which is as it should be."""

    class Cell(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.norm = nn.GRUCell(6, 16), nn.LayerNorm(16)

        def forward(self, x):
            state = x.new_zeros(len(x), 16)
            for t in range(x.shape[1]):
                state = self.norm(self.cell(x[:, t], state))
            return state

    return Cell(), torch.randn(4, 9, 6)


@model
def sequence_first():
    """(L, N, D): what stands on the first axis may depend on one another."""
    layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.1)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), torch.randn(9, 4, 32)


@model
def siamese():
    """Two views of the same data through one network."""

    class Siamese(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(6, 16, bias=False), nn.BatchNorm1d(16), nn.ReLU())

        def forward(self, a, b):
            return (self.net(a) * self.net(b)).sum(1)

    return Siamese(), (torch.randn(16, 6), torch.randn(16, 6))


@model
def keyword_batch():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(6, 16), nn.LayerNorm(16), nn.ReLU())

        def forward(self, features, mask=None):
            y = self.net(features)
            return {"logits": y if mask is None else y * mask}

    return Named(), {"features": torch.randn(4, 6), "mask": torch.ones(4, 1)}
