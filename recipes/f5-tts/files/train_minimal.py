#!/usr/bin/env python3
"""Trains F5-TTS on recordings of your own, with torch alone: no accelerate, no wandb, no datasets.

    python3 train_minimal.py recordings.csv mine --start model_1250000.safetensors

recordings.csv has a line for each recording: its path (from where the csv lies), `|`, and what is said in it. Into the folder `mine` come
model_last.pt and, every --keep updates, model_N.pt, which f5-tts_infer-cli takes (--ckpt_file) and F5-TTS's own Trainer goes on from, its
optimiser's state aside. Ctrl-C saves and stops; the same command goes on from there, and says so. Without --start it begins with random weights.
"""
import argparse
import os
import random
import signal
import time
from importlib.resources import files

import soundfile
import torch
import torchaudio
from hydra.utils import get_class
from omegaconf import OmegaConf

from f5_tts.model import CFM
from f5_tts.model.utils import convert_char_to_pinyin, get_tokenizer


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", help="the csv file")
    parser.add_argument("folder", help="where checkpoints go, and come from")
    parser.add_argument("--start", help="a published checkpoint, .safetensors or .pt, to begin with")
    parser.add_argument("--model", default="F5TTS_v1_Base", help="one of F5-TTS's configurations, or a file of that form (default: %(default)s)")
    parser.add_argument("--vocab", default=str(files("f5_tts").joinpath("infer/examples/vocab.txt")), help="the characters (default: F5-TTS's)")
    parser.add_argument("--updates", type=int, default=10000, help="stop after so many, earlier runs counted (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=3200, help="frames of 1/94 s in a batch at most; less needs less memory (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=1e-5, help="the learning rate (default: %(default)s)")
    parser.add_argument("--warmup", type=int, default=100, help="updates until the rate is reached (default: %(default)s)")
    parser.add_argument("--keep", type=int, default=1000, help="updates between the checkpoints that are kept (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes that read recordings (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=666)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


class Recordings(torch.utils.data.Dataset):
    def __init__(self, path, rate, hop):
        self.rate, self.rows, self.lengths = rate, [], []
        with open(path, encoding="utf-8") as file:
            for line in filter(None, map(str.strip, file)):
                name, said = line.split("|", 1)
                name = os.path.join(os.path.dirname(os.path.abspath(path)), name)
                seconds = soundfile.info(name).duration
                if 0.3 <= seconds <= 30:      # as F5-TTS itself does
                    self.rows.append((name, convert_char_to_pinyin([said.strip()], polyphone=True)[0]))
                    self.lengths.append(int(seconds * rate / hop) + 1)
        if not self.rows:
            raise SystemExit(f"{path}: no recording between 0.3 and 30 seconds")

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        name, said = self.rows[index]
        samples, rate = soundfile.read(name, dtype="float32", always_2d=True)
        wave = torch.from_numpy(samples).mean(1)
        return (wave if rate == self.rate else torchaudio.functional.resample(wave, rate, self.rate)), said


class Batches:
    """Recordings of about the same length together, in an order that seed and epoch settle."""

    def __init__(self, lengths, frames, seed):
        self.epoch, self.skip, self.seed, self.batches = 0, 0, seed, [[]]
        for index in sorted(range(len(lengths)), key=lengths.__getitem__):
            if self.batches[-1] and lengths[index] * (len(self.batches[-1]) + 1) > frames:
                self.batches.append([])
            self.batches[-1].append(index)

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        order = list(self.batches)
        random.Random(self.seed * 1000003 + self.epoch).shuffle(order)
        return iter(order[self.skip:])


def weights_of(path):
    """The averaged weights of a checkpoint, by the names that CFM gives them."""
    if path.endswith(".safetensors"):
        from safetensors.torch import load_file

        held = load_file(path)
    else:
        held = torch.load(path, map_location="cpu", weights_only=True)
        held = held.get("ema_model_state_dict") or held["model_state_dict"]
    held = {name.removeprefix("ema_model."): value for name, value in held.items() if name not in ("initted", "step", "update")}
    for name in ("mel_spec.mel_stft.mel_scale.fb", "mel_spec.mel_stft.spectrogram.window"):     # in older ones
        held.pop(name, None)
    return held


def main():
    asked = options()
    torch.manual_seed(asked.seed)
    config = OmegaConf.load(asked.model if asked.model.endswith(".yaml") else str(files("f5_tts").joinpath(f"configs/{asked.model}.yaml"))).model
    characters, size = get_tokenizer(asked.vocab, "custom")
    mel = dict(config.mel_spec)
    backbone = get_class(f"f5_tts.model.{config.backbone}")
    model = CFM(transformer=backbone(**config.arch, text_num_embeds=size, mel_dim=mel["n_mel_channels"]), mel_spec_kwargs=mel, vocab_char_map=characters)
    model.to(asked.device).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=asked.rate)
    last, update = os.path.join(asked.folder, "model_last.pt"), 0
    if os.path.exists(last):
        held = torch.load(last, map_location="cpu", weights_only=True)
        model.load_state_dict(held["model_state_dict"])
        optimiser.load_state_dict(held["optimizer_state_dict"])
        average, update = weights_of(last), held["update"]
        average = {name: value.to(asked.device) for name, value in average.items()}
        print(f"goes on from {last}, after {update} updates")
    else:
        if asked.start:
            model.load_state_dict(weights_of(asked.start))
        average = {name: value.detach().clone() for name, value in model.state_dict().items()}
    recordings = Recordings(asked.recordings, mel["target_sample_rate"], mel["hop_length"])
    batches = Batches(recordings.lengths, asked.frames, asked.seed)
    loader = torch.utils.data.DataLoader(recordings, batch_sampler=batches, collate_fn=list, num_workers=asked.workers, persistent_workers=False)

    def save(*names):
        os.makedirs(asked.folder, exist_ok=True)
        averaged = {f"ema_model.{name}": value for name, value in average.items()}
        state = dict(model_state_dict=model.state_dict(), optimizer_state_dict=optimiser.state_dict(), update=update,
                     ema_model_state_dict=averaged | {"initted": torch.tensor(True), "step": torch.tensor(update)})
        for name in names:
            torch.save(state, os.path.join(asked.folder, name + ".part"))
            os.replace(os.path.join(asked.folder, name + ".part"), os.path.join(asked.folder, name))

    stop = []
    signal.signal(signal.SIGINT, lambda *_: stop.append(True))
    started = time.monotonic()
    while update < asked.updates and not stop:
        batches.epoch, batches.skip = divmod(update, len(batches))
        for rows in loader:
            random.seed(asked.seed + update), torch.manual_seed(asked.seed + update)      # going on after a stop is as if there had been none
            with torch.no_grad():
                mels = [model.mel_spec(wave[None].to(asked.device))[0].T for wave, _ in rows]
            loss, _, _ = model(torch.nn.utils.rnn.pad_sequence(mels, batch_first=True), text=[said for _, said in rows],
                               lens=torch.tensor([len(one) for one in mels], device=asked.device))
            for group in optimiser.param_groups:
                group["lr"] = asked.rate * min(1, (update + 1) / max(1, asked.warmup))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad()
            update += 1
            decay = min(0.9999, (1 + update) / (10 + update))
            with torch.no_grad():
                for name, value in model.state_dict().items():
                    if value.is_floating_point():
                        average[name].lerp_(value, 1 - decay)
            print(f"update {update}, loss {loss.item():.4f}, {time.monotonic() - started:.0f} s", flush=True)
            if update % asked.keep == 0:
                save("model_last.pt", f"model_{update}.pt")
            if stop or update >= asked.updates:
                break
    save("model_last.pt")
    print(f"{'stopped' if stop else 'done'} after {update} updates: {last}")


if __name__ == "__main__":
    main()
