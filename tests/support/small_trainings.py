"""Trainings that take seconds: a few steps of a small network on 8 px images."""

import numpy as np
import torch

from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Lattice
from bumpscope.config.model import Model
from bumpscope.config.training import Training
from bumpscope.denoise.named import new_denoiser
from bumpscope.denoise.trainer import Trainer, TrainingData
from bumpscope.worlds.bumps import lattice_points, render, to_network

LATTICE = Lattice(image_size=8, sigma=1.0, margin=2.0, dx=1.0, dy=1.0)
TRAINING = Training(
    steps=8, batch_size=8, warmup_steps=3, ema_decay=0.9, log_every=3, weight_decay=0.01, checkpoints=[0]
)
CPU = torch.device("cpu")


def trainer(reference="none", prediction="v", precision="float32", seed=5):
    torch.set_num_threads(1)
    model = Model(channel_multipliers=[1, 1, 1], attention_resolutions=[1], embedding_width=8, reference=reference)
    points, diffusion = lattice_points(LATTICE), Diffusion(prediction=prediction)
    data = TrainingData(
        torch.tensor(to_network(render(points.mu_x, points.mu_y, LATTICE))[:, None], dtype=torch.float32),
        torch.tensor(np.stack([points.mu_x, points.mu_y], axis=1), dtype=torch.float32),
        torch.tensor(points.probability),
    )
    network = new_denoiser(LATTICE, model, diffusion, seed)
    return Trainer(seed, data, network, diffusion, TRAINING.model_copy(update={"precision": precision}), CPU)
