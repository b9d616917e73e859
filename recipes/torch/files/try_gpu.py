"""Whether this torch computes on the GPU what it computes on the CPU: some minutes, no model, no network.

    python3 try_gpu.py             on the first GPU
    python3 try_gpu.py --dry-run   the same on the CPU alone, to see that the script itself runs

A product, a convolution, attention by each way that torch has, and a step of training: each is held against 64-bit numbers computed on the CPU. Exit
status 0 where all agree, 1 where something differs or fails, 2 where there is no GPU."""

import argparse
import sys
import time

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

WAYS = {"plain": SDPBackend.MATH, "flash": SDPBackend.FLASH_ATTENTION, "memory-efficient": SDPBackend.EFFICIENT_ATTENTION}
LIMITS = {torch.float32: 2e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}


def product(device, kind):
    a, b = torch.randn(700, 1300), torch.randn(1300, 500)
    return a.to(device, kind) @ b.to(device, kind), a.double() @ b.double()


def convolution(device, kind):
    conv, x = torch.nn.Conv1d(64, 96, 7, padding=3, dtype=torch.float64), torch.randn(4, 64, 3000, dtype=torch.float64)
    expected = conv(x)
    return conv.to(device, kind)(x.to(device, kind)), expected


def attention(way):
    def run(device, kind):
        q, k, v = (torch.randn(2, 8, 333, 64) for _ in range(3))
        expected = torch.softmax(q.double() @ k.double().transpose(-1, -2) / 8, -1) @ v.double()
        with sdpa_kernel(WAYS[way]):
            return torch.nn.functional.scaled_dot_product_attention(*(x.to(device, kind) for x in (q, k, v))), expected
    return run


def training(device, kind):
    """The gradient of a small transformer's first weights."""
    layer = torch.nn.TransformerEncoderLayer(64, 4, 128, dropout=0, batch_first=True, dtype=torch.float64)
    x, y, found = torch.randn(3, 50, 64, dtype=torch.float64), torch.randn(3, 50, 64, dtype=torch.float64), []
    for where, what in (("cpu", torch.float64), (device, kind)):
        layer = layer.to(where, what)
        layer.zero_grad()
        (layer(x.to(where, what)) * y.to(where, what)).sum().backward()
        found.append(layer.self_attn.in_proj_weight.grad.detach().clone())
    return found[1], found[0]


def cases(dry):
    half = [torch.bfloat16] if dry else [torch.float16, torch.bfloat16]
    for kind in [torch.float32, *half]:
        yield "product", product, kind
        yield "convolution", convolution, kind
        for way in WAYS:
            if not (dry and way == "memory-efficient") and not (not dry and way == "flash" and kind is torch.float32):    # the CPU has none; the GPU's is for halves
                yield f"attention, {way}", attention(way), kind
    yield "training", training, torch.float32


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry-run", action="store_true", help="on the CPU")
    dry = parser.parse_args().dry_run
    if not dry and not torch.cuda.is_available():
        print("torch sees no GPU here: nvidia-smi says whether the driver does; --dry-run tries this script without one", file=sys.stderr)
        return 2
    device = "cpu" if dry else "cuda"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    print(f"torch {torch.__version__} on {'the CPU' if dry else torch.cuda.get_device_name() + ', CUDA ' + torch.version.cuda}")
    print(f"{'what':28} {'numbers':10} {'off by':>9} {'at most':>9} {'ms':>8}")
    wrong = 0
    for what, run, kind in cases(dry):
        torch.manual_seed(1)
        start = time.monotonic()
        try:
            found, expected = run(device, kind)
            off = float((found.detach().cpu().double() - expected).abs().max() / expected.abs().max())
        except RuntimeError as error:
            print(f"{what:28} {str(kind)[6:]:10} failed: {str(error).splitlines()[0]}")
            wrong += 1
            continue
        good = off <= LIMITS[kind]
        wrong += not good
        print(f"{what:28} {str(kind)[6:]:10} {off:9.2e} {LIMITS[kind]:9.0e} {(time.monotonic() - start) * 1000:8.1f}{'' if good else '   DIFFERS'}")
    print(f"{wrong} differ or failed" if wrong else "all agree")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
