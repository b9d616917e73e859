#!/bin/sh
# Prints docs/triage.md: `make docs-triage`. Results are kept in the store, so that a run that was stopped goes on where it was; the packages around torch take some
# gigabytes each, for the time that they are tried.
set -eu
ironwheel=$1
pins="numpy==1.26.4 pandas==2.2.3 pyarrow==17.0.0 transformers==4.57.3 scipy==1.13.1 numba==0.60.0 librosa==0.11.0 soundfile==0.13.1 datasets==3.6.0 tokenizers==0.22.1
safetensors==0.6.2 onnxruntime==1.20.1 monotonic_align==1.0.0 torch==2.7.0 torchaudio==2.7.0 torchcodec==0.4.0 bitsandbytes==0.46.0"
names="pandas pyarrow transformers scipy numba librosa soundfile datasets tokenizers safetensors onnxruntime monotonic_align"
# Each brings torch, gigabytes for every version, and so only the newest is tried.
far_names="torch torchaudio torchcodec bitsandbytes"

# Exit status 1 says that one dies, or isn't known.
triage() {
    "$ironwheel" triage -q "$@" || [ $? -eq 1 ]
}

cat <<'END'
# Which published wheels run on a Phenom II

This page is made by `make docs-triage`, which runs the commands that it shows. pip brought each package from the package index, for Debian's Python 3.11, with what it
needs. On an emulated Phenom (`qemu-x86_64 -cpu phenom`), in a sandbox without a network, its modules were imported, its libraries loaded, what compiled modules export was
called with small numbers, bytes, text and arrays, and the tests of its sdist and the checks of this tree's recipe of that name were run, as far as a bounded time goes. What
failed was done again under the emulator's largest CPU, and counts only where that doesn't fail,
and not in what the package itself loads on another CPU only. Nothing of a wheel ran natively.

- **runs**: checks of a recipe, or tests of its own, passed, and nothing died. What wasn't reached may still die.
- **imports**: the same, without a check or test that could be run.
- **dies-at-import**, **dies-in-use**: the CPU refused an instruction, or the package the CPU, by a signal or an exception; the table says which, and where.
- **unknown**: it failed on every CPU, or pip couldn't bring it; the reason is what pip or Python said.

Where the file that died is another package's, the newest version of that one beside which the package works is looked for, and named.

The third column counts instructions that a Phenom II doesn't have, in the package's files and in those of all that it needs, and of these the ones in its own files that nothing
in the file guards by asking the CPU. It predicts nothing.
END
printf '\n## At the pins of a stack for speech synthesis\n\n    ironwheel triage --markdown %s\n\n' "$(echo $pins)"
triage --markdown $pins
printf '\n## The newest, as of %s\n\n    ironwheel triage --markdown --newest numpy\n\n' "$(date -u +%Y-%m-%d)"
triage --markdown --newest numpy
numpy=$(triage --json --newest numpy | sed -n 's/.*"newest_working":"\([^"]*\)".*/\1/p')
printf '\nThe others, with the newest numpy that runs, for pip would bring the newest of all, and every one that needs numpy would die of it:\n\n'
printf '    ironwheel triage --markdown --newest numpy==%s %s\n\n' "$numpy" "$names"
triage --markdown --newest "numpy==$numpy" $names
printf '\nWhat brings torch, some gigabytes for each version, at the newest version only:\n\n    ironwheel triage --markdown numpy==%s %s\n\n' "$numpy" "$far_names"
triage --markdown "numpy==$numpy" $far_names
cat <<'END'

## What was believed, and what was found

- **"A wheel full of AVX can't run."** numpy 1.26.4's wheel, with the OpenBLAS in it, holds 1.4 million instructions that the CPU doesn't have, and runs: it
  asks the CPU before it uses any of them. pyarrow needs one, `pinsrq`, in a constructor that runs when the library is loaded, and dies.
- **"numpy 2 doesn't run."** It does, up to the version that the table of the newest names. From 2.4 on its wheels are compiled for x86-64-v2 (SSE4.2), and die in a static
  initialiser. A package that dies in a file of numpy's isn't at fault itself: pip brought it the newest numpy. pandas, scipy, numba and librosa run beside an older one.
- **"`tensor // 0` raises SIGFPE in torch"**, so that dynamo's map of operators has to be cut, and matrix products on the CPU given up. The division is oneDNN's, not
  the user's: the table shows `idiv` in `Xbyak::util::Cpu::Cpu()`, the constructor with which oneDNN looks at the CPU, at its first use. It divides by the number
  of threads of a core, which it takes from CPUID's leaf 0xB; these CPUs don't have that leaf, so that it stays 0. `import torch` doesn't call it and `tensor // 0` doesn't;
  the first product does, and so does dynamo's map, which tries `matmul` among its operators. [patches/torch](../patches/torch) turns oneDNN off where the CPU can't
  run it.
- **torchaudio 2.7.0 and bitsandbytes 0.46.0** die of the same division, in torch's library: with a torch that is patched or built from source there is nothing against them in
  this table. bitsandbytes calls oneDNN while it is imported. 0.50.2 dies without torch's help: AVX in a constructor of its own library.
- **"A newer torch cures it."** Half of it. 2.15.0 "runs", for nothing crashes any more: its matrix products pass, since its oneDNN doesn't divide by zero. But its first Conv1d
  raises `RuntimeError: could not create a primitive` (oneDNN's authors ask for SSE4.1), and a process that is forked after a parallel region was still waiting when that check's half
  hour was over. Both are checks that "failed, without a crash". `pip install torch torchaudio` doesn't work together at the newest versions, on any CPU, as the table says.
- **torchcodec** loads FFmpeg's libraries, which are not in a wheel and not in the sandbox: 0.4.0's verdict stays open. 0.17.0 is imported without them.
- **"datasets is broken."** It dies in pyarrow, which it imports. Both have recipes: stack `data`.
- **numba** makes code at run time, for the CPU that it finds. Its check compiled and ran three functions on the emulated Phenom, with the right results.

Nothing here was run on a GPU, or on a real Phenom II.
END
