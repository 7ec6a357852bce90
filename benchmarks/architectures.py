"""The doctor on sound public architectures: no false alarm.

    python -m venv /tmp/architectures && . /tmp/architectures/bin/activate
    pip install torch torchvision timm transformers && pip install -e ".[book]"
    python benchmarks/architectures.py [--findings] [name ...]

torchvision, timm and transformers are not among the packages of the course: an environment of its
own, as above. Nothing is downloaded but them. Every network is random and small, and is examined in
training and in evaluation mode, and once more after some steps of AdamW where a step is quick.
Published networks may deserve a note or, rarely, a warning, which the table shows; a severe finding
is a false alarm, and makes the exit status 1.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch

import normcourse
from normcourse.doctor.report import SEVERITIES
from normcourse.doctor.trace import first_tensor

STEPS = 3
SLOW = 3.0  # seconds of a step, after which no other is made

ARCHITECTURES: dict[str, Callable[[], tuple[torch.nn.Module, Any]]] = {}


def images(size: int = 64, n: int = 4) -> torch.Tensor:
    return torch.randn(n, 3, size, size)


def torchvision(name: str, size: int = 64, **options: Any) -> None:
    def make():
        from torchvision import models

        return getattr(models, name)(weights=None, **options), images(size)

    ARCHITECTURES[f"torchvision {name}"] = make


def timm(name: str, size: int = 64, **options: Any) -> None:
    def make():
        import timm

        return timm.create_model(name, num_classes=10, **options), images(
            size, 4 if size < 99 else 2
        )

    ARCHITECTURES[f"timm {name}"] = make


SMALL = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}
IDS = torch.arange(24).reshape(2, 12) * 7 % 97 + 2
TOKENS = {"input_ids": IDS}


def transformers(
    config: str, model: str, batch: Any = None, half: bool = False, **options: Any
) -> None:
    """With the small sizes, less those that are set to None."""

    def make():
        import transformers

        sizes = {k: v for k, v in (SMALL | options).items() if v is not None}
        made = getattr(transformers, model)(getattr(transformers, config)(**sizes))
        given = TOKENS if batch is None else batch
        return (made.bfloat16() if half else made), given

    kind = f"{' wide' if options.get('hidden_size') else ''}{' bfloat16' if half else ''}"
    ARCHITECTURES[f"transformers {model}{kind}"] = make


for name in (
    *("resnet18", "resnext50_32x4d", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0"),
    *("convnext_tiny", "densenet121", "vgg11_bn", "shufflenet_v2_x0_5", "regnet_y_400mf"),
    *("mnasnet0_5", "swin_t", "squeezenet1_0"),
):
    torchvision(name)
torchvision("googlenet", 96, init_weights=False, aux_logits=False)
torchvision("inception_v3", 128, init_weights=False, aux_logits=False)
torchvision("vit_b_32", image_size=64)
for name in (
    *("resnext26ts", "efficientnet_b0", "tf_efficientnet_lite0", "mobilenetv3_small_050"),
    *("convnext_atto", "poolformer_s12", "nfnet_f0", "regnetx_002", "repvgg_a0", "ghostnet_050"),
):
    timm(name)
for name in ("vit_tiny_patch16_224", "deit_tiny_patch16_224"):
    timm(name, img_size=64)
for name in ("mixer_s32_224", "levit_128s", "xcit_nano_12_p16_224", "eva02_tiny_patch14_224"):
    timm(name, 224)

NO_SIZES = dict.fromkeys(SMALL)
HEADS = {"num_key_value_heads": 2, "head_dim": 8}
transformers("BertConfig", "BertModel")
transformers("RobertaConfig", "RobertaForMaskedLM")
transformers("ElectraConfig", "ElectraModel", embedding_size=16)
transformers("DebertaV2Config", "DebertaV2Model")
gpt2 = {"vocab_size": 99, "n_embd": 32, "n_layer": 2, "n_head": 4}
transformers("GPT2Config", "GPT2LMHeadModel", **NO_SIZES | gpt2)
transformers("GPTNeoXConfig", "GPTNeoXForCausalLM")
opt = {"ffn_dim": 64, "word_embed_proj_dim": 32, "max_position_embeddings": 64}
transformers("OPTConfig", "OPTForCausalLM", **SMALL | opt | {"intermediate_size": None})
transformers("PhiConfig", "PhiForCausalLM")
transformers("OlmoConfig", "OlmoForCausalLM")
transformers("MistralConfig", "MistralForCausalLM", num_key_value_heads=2)
transformers("MixtralConfig", "MixtralForCausalLM", num_key_value_heads=2)
for half in (False, True):
    transformers("LlamaConfig", "LlamaForCausalLM", half=half)
    transformers("GemmaConfig", "GemmaForCausalLM", half=half, **HEADS)
    transformers("Gemma2Config", "Gemma2ForCausalLM", half=half, **HEADS)
    transformers("Qwen3Config", "Qwen3ForCausalLM", half=half, **HEADS)
    transformers("LlamaConfig", "LlamaForCausalLM", half=half, hidden_size=4096)
t5 = {"vocab_size": 99, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
transformers("T5Config", "T5Model", TOKENS | {"decoder_input_ids": IDS}, **NO_SIZES | t5)
speech = {
    "conv_dim": (16, 16, 16),
    "conv_stride": (5, 2, 2),
    "conv_kernel": (10, 3, 3),
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
transformers("Wav2Vec2Config", "Wav2Vec2Model", torch.randn(2, 4000), **speech)
picture = {"image_size": 32, "patch_size": 8, "vocab_size": None}
transformers("ViTConfig", "ViTModel", images(32), **picture)


# ---- the examination -----------------------------------------------------------------------


def trained(model: torch.nn.Module, batch: Any) -> torch.optim.Optimizer | None:
    """Some steps of AdamW, decay on the matrices only; None where a step is slow."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    vectors = {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0}
    groups = [{"params": [p for p in parameters if p.ndim > 1]}, vectors]
    optimizer = torch.optim.AdamW(groups, lr=1e-4, weight_decay=0.05)
    model.train()
    for _ in range(STEPS):
        start = time.perf_counter()
        output = model(**batch) if isinstance(batch, dict) else model(batch)
        y = first_tensor(output)
        assert y is not None
        optimizer.zero_grad()
        y.float().pow(2).mean().backward()
        if time.perf_counter() - start > SLOW:
            return None
        optimizer.step()
    return optimizer


def examine(name: str) -> tuple[list[normcourse.doctor.Report], float]:
    """The reports, and the seconds of a forward pass."""
    torch.manual_seed(0)
    model, batch = ARCHITECTURES[name]()
    start = time.perf_counter()
    with torch.no_grad():
        model.eval()(**batch) if isinstance(batch, dict) else model.eval()(batch)
    forward = time.perf_counter() - start
    reports = [normcourse.doctor(model.train(mode), batch) for mode in (True, False)]
    optimizer = trained(model, batch)
    if optimizer is not None:
        reports.append(normcourse.doctor(model.train(), batch, optimizer))
        reports.append(normcourse.doctor(model.eval(), batch))
    return reports, forward


def row(name: str, reports: list[Any], forward: float) -> str:
    found = {(f.severity, f.check): f for r in reports for f in r.findings}
    cells = [name]
    for severity in reversed(SEVERITIES):
        checks = sorted(check for of, check in found if of == severity)
        cells.append(", ".join(checks) or "–")
    longest = max(report.seconds for report in reports)
    cells += [str(len(reports)), f"{longest:.1f}", f"{forward:.2f}"]
    return f"| {' | '.join(cells)} |"


def failures(reports: list[Any]) -> list[str]:
    """What the table has no room for."""
    said = [f"the model raised {r.error}" for r in reports if r.error]
    for report in reports:
        said += [f"{n.check}: {n.reason}" for n in report.not_checked if "failed" in n.reason]
        said += [f"{f.severity} {f.check} at {f.where}: {f.measured}" for f in report.findings]
    return list(dict.fromkeys(said))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", help="parts of names; all by default")
    parser.add_argument("--findings", action="store_true", help="also each finding in full")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    chosen = [n for n in ARCHITECTURES if not options.names or any(p in n for p in options.names)]
    print("| architecture | severe | warnings | notes | runs | seconds | forward pass |")
    print("|---|---|---|---|---|---|---|")
    bad, absent = [], []
    for name in chosen:
        try:
            reports, forward = examine(name)
        except Exception as error:
            absent.append(f"{name}: {type(error).__name__}: {str(error)[:200]}")
            continue
        print(row(name, reports, forward), flush=True)
        if options.findings:
            print(*failures(reports), sep="\n", flush=True)
        if any(r.worst == "severe" or r.error for r in reports):
            bad.append(name)
    print(f"\n{len(chosen) - len(absent)} architectures, {len(bad)} with a severe finding")
    for name in bad:
        print(f"severe: {name}")
    for reason in absent:
        print(f"not made: {reason}")
    return int(bool(bad or absent))


if __name__ == "__main__":
    sys.exit(main())
