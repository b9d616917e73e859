#!/usr/bin/env python3
"""First-stage training of StyleTTS2, which the package itself doesn't hold: text to sound with a style, aligned by monotonic_align.

    python3 train_first_stage.py config.yml recordings.txt mine

config.yml is StyleTTS2's own (model_params, ASR_config, ASR_path, F0_path, PLBERT_dir); the last four name what it begins with, and a missing
ASR_path or F0_path means random weights there. recordings.txt has a line for each recording: its path (from where the list lies), `|`, and the
phonemes of what is said. Into the folder `mine` comes first_stage.pth, which styletts2.models.load_checkpoint and the class StyleTTS2 read; the
same command goes on from it. Ctrl-C saves and stops.

As in the paper: the aligner, the text and style encoders and the decoder learn to say a recording's mel spectrum again; from --align on, the
alignment is made monotonic for half of the steps, its losses count, and so do the discriminators. Left out: the loss by a speech language model
(WavLM, a download), several GPUs, and the second stage (diffusion, durations, joint training), for which the project's own repository is needed.
"""
import argparse
import os
import random
import signal

import librosa
import soundfile
import torch
import yaml
from monotonic_align import maximum_path
from torch import nn
from torch.nn import functional
from transformers import AlbertConfig

from styletts2.losses import DiscriminatorLoss, GeneratorLoss, MultiResolutionSTFTLoss
from styletts2.meldataset import TextCleaner, preprocess
from styletts2.models import build_model, load_ASR_models, load_F0_models
from styletts2.Modules.discriminators import DiscriminatorP
from styletts2.Utils.ASR.models import ASRCNN
from styletts2.Utils.JDC.model import JDCNet
from styletts2.Utils.PLBERT.util import CustomAlbert, load_plbert
from styletts2.utils import length_to_mask, log_norm, recursive_munch

LEARN = ("decoder", "style_encoder", "text_encoder", "text_aligner", "pitch_extractor")
JUDGE = ("mpd", "msd")
HOP = 300


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("recordings")
    parser.add_argument("folder")
    parser.add_argument("--steps", type=int, default=10000, help="stop after so many, earlier runs counted (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=4, help="recordings in a step (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=160, help="mel frames of 1/80 s that are spoken in a step, 80 at least (default: %(default)s)")
    parser.add_argument("--align", type=int, default=5000, help="the step from which alignment and discriminators count (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=1e-4, help="the learning rate (default: %(default)s)")
    parser.add_argument("--periods", default="2,3,5,7,11", help="of the multi-period discriminator, 8 million weights each (default: %(default)s)")
    parser.add_argument("--keep", type=int, default=500, help="steps between checkpoints (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    asked = parser.parse_args()
    if asked.frames < 80 or asked.frames % 2:
        parser.error("--frames: an even number, and 80 at least, which the style encoder needs")
    return asked


def networks(path, periods):
    with open(path, encoding="utf-8") as file:
        config = yaml.safe_load(file)
    def named(key):
        return config[key] if config.get(key) and os.path.exists(config[key]) else None
    if named("ASR_path"):
        aligner = load_ASR_models(config["ASR_path"], config["ASR_config"])
    else:
        with open(config["ASR_config"], encoding="utf-8") as file:
            aligner = ASRCNN(**yaml.safe_load(file)["model_params"])
    pitch = load_F0_models(config["F0_path"]) if named("F0_path") else JDCNet(num_class=1, seq_len=192)
    if any(name.startswith("step_") for name in os.listdir(config["PLBERT_dir"])):
        bert = load_plbert(config["PLBERT_dir"])
    else:
        with open(os.path.join(config["PLBERT_dir"], "config.yml"), encoding="utf-8") as file:
            bert = CustomAlbert(AlbertConfig(**yaml.safe_load(file)["model_params"]))
    nets = build_model(recursive_munch(config["model_params"]), aligner, pitch, bert)
    nets.mpd.discriminators = nn.ModuleList(DiscriminatorP(int(period)) for period in periods.split(","))
    return nets


class Recordings:
    def __init__(self, path, smallest):
        clean, self.rows = TextCleaner(), []
        with open(path, encoding="utf-8") as file:
            for line in filter(None, map(str.strip, file)):
                name, said = line.split("|")[:2]
                self.rows.append((os.path.join(os.path.dirname(os.path.abspath(path)), name), torch.tensor([0, *clean(said), 0])))
        self.smallest = smallest
        if not self.rows:
            raise SystemExit(f"{path}: no recordings")

    def batch(self, rows, device):
        waves, mels, texts = [], [], []
        for name, text in (self.rows[row] for row in rows):
            wave, rate = soundfile.read(name, dtype="float32", always_2d=True)
            wave = wave.mean(1) if rate == 24000 else librosa.resample(wave.mean(1), orig_sr=rate, target_sr=24000)
            mel = preprocess(wave)[0]
            mel = mel[:, :mel.shape[1] // 2 * 2]
            if mel.shape[1] < self.smallest:
                raise SystemExit(f"{name}: shorter than --frames")
            waves.append(torch.from_numpy(wave)), mels.append(mel.T), texts.append(text)
        lengths = [torch.tensor([len(one) for one in many], device=device) for many in (texts, mels)]
        padded = [nn.utils.rnn.pad_sequence(many, batch_first=True).to(device) for many in (texts, mels)]
        return [wave.to(device) for wave in waves], padded[0], lengths[0], padded[1].transpose(1, 2), lengths[1]


def cut(waves, mels, mel_lengths, encoded, frames):
    """The same stretch of each recording, at a random place, as sound, as spectrum and as what the text says there."""
    half, parts = frames // 2, []
    for wave, mel, length, one in zip(waves, mels, mel_lengths // 2, encoded):
        start = random.randint(0, int(length) - half)
        sound = wave[start * 2 * HOP:(start + half) * 2 * HOP]
        parts.append((functional.pad(sound, (0, 2 * half * HOP - len(sound))), mel[:, start * 2:(start + half) * 2], one[:, start:start + half]))
    return [torch.stack(part) for part in zip(*parts)]


def step(nets, recordings, rows, asked, optimisers, losses, aligned):
    spectral, judged, fooled = losses
    waves, texts, text_lengths, mels, mel_lengths = recordings.batch(rows, asked.device)
    steps = nets.text_aligner.n_down
    mel_mask = length_to_mask(mel_lengths // 2 ** steps)
    text_mask = length_to_mask(text_lengths)
    _, guessed, attention = nets.text_aligner(mels, mel_mask, texts)
    attention = attention[:, 1:]            # its first row is the start sign's: now a row for each sign of the text
    known = (~text_mask).unsqueeze(2) & (~mel_mask).unsqueeze(1)
    with torch.no_grad():                   # a sign for each frame, in order
        monotonic = maximum_path(attention.detach().transpose(1, 2).contiguous(), known.transpose(1, 2).contiguous().float()).transpose(1, 2)
    encoded = nets.text_encoder(texts, text_lengths, text_mask) @ (monotonic if aligned and random.random() < 0.5 else attention)
    sound, spectrum, said = cut(waves, mels, mel_lengths, encoded, asked.frames)
    with torch.no_grad():
        energy = log_norm(spectrum.unsqueeze(1)).squeeze(1)
    pitch, _, _ = nets.pitch_extractor(spectrum.unsqueeze(1))
    spoken = nets.decoder(said, pitch.reshape(len(spectrum), -1), energy, nets.style_encoder(spectrum.unsqueeze(1)))
    sound = sound.unsqueeze(1)
    judge = 0.0
    if aligned:
        optimisers["judge"].zero_grad()
        loss = judged(sound, spoken.detach())
        loss.backward()
        optimisers["judge"].step()
        judge = loss.item()
    optimisers["learn"].zero_grad()
    mel = spectral(spoken.squeeze(1), sound.squeeze(1))
    loss = 5 * mel
    if aligned:
        rows = [functional.cross_entropy(guess[:length], text[:length]) for guess, text, length in zip(guessed, texts, text_lengths)]
        loss = loss + sum(rows) / len(rows) + 10 * functional.l1_loss(attention, monotonic) + fooled(sound, spoken)
    loss.backward()
    nn.utils.clip_grad_norm_([weight for name in LEARN for weight in nets[name].parameters()], 5.0)
    optimisers["learn"].step()
    return mel.item(), judge


def main():
    asked = options()
    torch.manual_seed(asked.seed)
    nets = networks(asked.config, asked.periods)
    for name in nets:
        nets[name].to(asked.device).train()
    def optimiser(names):
        return torch.optim.AdamW([weight for name in names for weight in nets[name].parameters()], lr=asked.rate, weight_decay=1e-4, betas=(0.0, 0.99), eps=1e-9)
    optimisers = {"learn": optimiser(LEARN), "judge": optimiser(JUDGE)}
    losses = MultiResolutionSTFTLoss().to(asked.device), DiscriminatorLoss(nets.mpd, nets.msd), GeneratorLoss(nets.mpd, nets.msd)
    recordings, last, done = Recordings(asked.recordings, asked.frames), os.path.join(asked.folder, "first_stage.pth"), 0
    if os.path.exists(last):
        held = torch.load(last, map_location="cpu", weights_only=True)
        for name in nets:
            nets[name].load_state_dict(held["net"][name])
        for name, state in held["optimizer"].items():
            optimisers[name].load_state_dict(state)
        done = held["iters"]
        print(f"goes on from {last}, after {done} steps")

    def save():
        os.makedirs(asked.folder, exist_ok=True)
        torch.save({"net": {name: nets[name].state_dict() for name in nets}, "optimizer": {name: one.state_dict() for name, one in optimisers.items()},
                    "iters": done, "epoch": done * asked.batch // len(recordings.rows)}, last + ".part")
        os.replace(last + ".part", last)

    stop = []
    signal.signal(signal.SIGINT, lambda *_: stop.append(True))
    while done < asked.steps and not stop:
        random.seed(asked.seed * 1000003 + done), torch.manual_seed(asked.seed * 1000003 + done)     # going on after a stop is as if there had been none
        rows = random.choices(range(len(recordings.rows)), k=asked.batch)
        mel, judge = step(nets, recordings, rows, asked, optimisers, losses, done >= asked.align)
        done += 1
        print(f"step {done}, spectrum {mel:.5f}, discriminators {judge:.4f}", flush=True)
        if done % asked.keep == 0:
            save()
    save()
    print(f"{'stopped' if stop else 'done'} after {done} steps: {last}")


if __name__ == "__main__":
    main()
