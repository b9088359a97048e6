"""The diffusion process against closed forms and against the schedulers of diffusers."""

import logging
import math
from importlib import import_module
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bumpscope.config.diffusion import Diffusion
from bumpscope.config.probe import SamplerName
from bumpscope.denoise.process import Process, variance_schedule
from bumpscope.denoise.samplers import SAMPLERS, ancestral, ddim, named_sampler, trailing_timesteps

NAMES = {"epsilon": "epsilon", "v": "v_prediction"}
SCHEDULES = {"linear": "linear", "cosine": "squaredcos_cap_v2"}


def process(prediction="epsilon", **keys):
    return Process.from_config(Diffusion(prediction=prediction, **keys))


def of_diffusers(kind):
    """A scheduler class. Importing diffusers takes seconds, which other tests need not wait for."""
    logging.getLogger("diffusers").setLevel(logging.ERROR)
    return getattr(import_module("diffusers"), kind)


def scheduler(kind, prediction, clip, schedule="linear", steps=None):
    """A scheduler of diffusers with the same process, computed in double precision as ours is."""
    oracle = of_diffusers(kind)(
        num_train_timesteps=1000,
        beta_start=1e-4,
        beta_end=0.02,
        beta_schedule=SCHEDULES[schedule],
        prediction_type=NAMES[prediction],
        timestep_spacing="trailing",
        clip_sample=clip,
    )
    if schedule == "linear":
        betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
        oracle.alphas_cumprod = torch.cumprod(1 - betas, 0)
    oracle.set_timesteps(steps or 1000)
    return oracle


def curved(prediction):
    """A denoiser that is neither linear nor the exact one, and depends on t."""

    def answer(x, t):
        t = t.view(-1, 1, 1, 1) / 1000
        noise_like = 0.9 * t.sqrt() * x + 0.2 * torch.sin(3 * x + 5 * t)
        return noise_like if prediction == "epsilon" else noise_like - 0.3 * x

    return answer


def pure_noise(n=3, size=4, seed=0):
    return torch.randn(n, 1, size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_the_schedule_and_alpha_bar_are_those_of_diffusers(schedule):
    oracle = of_diffusers("DDPMScheduler")(beta_start=1e-4, beta_end=0.02, beta_schedule=SCHEDULES[schedule])
    np.testing.assert_allclose(variance_schedule(1000, schedule), oracle.betas.numpy(), rtol=0, atol=2e-7)
    alpha_bar = process(schedule=schedule).alpha_bar
    assert alpha_bar.dtype == torch.float64
    np.testing.assert_allclose(alpha_bar, oracle.alphas_cumprod, rtol=3e-5, atol=1e-9)


def test_alpha_bar_is_the_closed_form_at_both_ends():
    alpha_bar = process().alpha_bar
    assert alpha_bar[0].item() == pytest.approx(1 - 1e-4, rel=1e-12)
    assert alpha_bar[1].item() == pytest.approx((1 - 1e-4) * (1 - 1e-4 - 0.0199 / 999), rel=1e-12)
    assert math.log(alpha_bar[-1].item()) == pytest.approx(
        sum(math.log1p(-(1e-4 + 0.0199 * k / 999)) for k in range(1000)), rel=1e-12
    )


@pytest.mark.parametrize("timesteps", [100, 250, 1000, 4000])
@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_the_last_step_is_pure_noise_and_the_first_nearly_clean_whatever_the_number_of_steps(timesteps, schedule):
    betas = variance_schedule(timesteps, schedule)
    alpha_bar = np.cumprod(1 - betas)
    assert len(betas) == timesteps
    assert (np.diff(alpha_bar) < 0).all()
    assert alpha_bar[-1] < 1e-4
    assert alpha_bar[0] > 1 - 0.02
    assert ((betas > 0) & (betas <= 0.999)).all()


def test_noised_images_have_the_mean_and_variance_of_the_forward_process():
    x0, noise = torch.full((20_000, 1, 1, 1), 0.7, dtype=torch.float64), pure_noise(20_000, 1)
    for t in (0, 300, 999):
        x_t = process().noised(x0, noise, torch.full((20_000,), t))
        alpha_bar = process().alpha_bar[t].item()
        assert x_t.mean().item() == pytest.approx(math.sqrt(alpha_bar) * 0.7, abs=4 * math.sqrt((1 - alpha_bar) / 2e4))
        assert x_t.var().item() == pytest.approx(1 - alpha_bar, rel=0.05)


@pytest.mark.parametrize("t", [1, 487, 999])
def test_noising_a_step_at_a_time_is_noising_at_once(t):
    # x_t | x_(t-1) = sqrt(alpha) x_(t-1) + sqrt(1 - alpha) noise, from a point with the moments of x_(t-1).
    alpha_bar = process().alpha_bar
    alpha = alpha_bar[t] / alpha_bar[t - 1]
    assert (1 - alpha).item() == pytest.approx(variance_schedule(1000, "linear")[t], rel=1e-9)
    assert (alpha * (1 - alpha_bar[t - 1]) + 1 - alpha).item() == pytest.approx((1 - alpha_bar[t]).item(), rel=1e-12)


@pytest.mark.parametrize("t", [0, 487, 999])
def test_the_posterior_is_that_of_diffusers(t):
    oracle = scheduler("DDPMScheduler", "epsilon", clip=False)
    x0, x_t = pure_noise(seed=1) / 3, pure_noise(seed=2)
    mean, variance = process().posterior(x0, x_t, t, t - 1)
    assert variance == pytest.approx(oracle._get_variance(t).item(), rel=1e-9, abs=1e-15)
    noise = (x_t - math.sqrt(oracle.alphas_cumprod[t]) * x0) / math.sqrt(1 - oracle.alphas_cumprod[t])
    if t == 0:
        torch.testing.assert_close(mean, x0)
    draw = torch.randn(x_t.shape, generator=torch.Generator().manual_seed(5), dtype=x_t.dtype)
    stepped = oracle.step(noise, t, x_t, generator=torch.Generator().manual_seed(5)).prev_sample
    torch.testing.assert_close(mean + math.sqrt(variance) * draw, stepped, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("t", "variance"), [(0, 0.0), (487, 0.00979), (999, 0.02)])
def test_the_posterior_variance_has_its_known_values(t, variance):
    assert process().posterior(pure_noise(), pure_noise(), t, t - 1)[1] == pytest.approx(variance, abs=1e-5)


@pytest.mark.parametrize(("t", "previous"), [(999, 959), (487, 100), (39, 0), (1, 0), (999, 0), (39, -1), (0, -1)])
def test_the_posterior_over_any_gap_is_the_conditional_of_the_joint_gaussian(t, previous):
    # Given x0, (x_previous, x_t) is Gaussian; its conditional follows from means and covariances.
    x0, x_t = pure_noise(seed=1) / 3, pure_noise(seed=2)
    bar_t = process().alpha_bar[t].item()
    bar = process().alpha_bar[previous].item() if previous >= 0 else 1.0
    covariance, gain = math.sqrt(bar_t / bar) * (1 - bar), math.sqrt(bar_t / bar) * (1 - bar) / (1 - bar_t)
    mean, variance = process().posterior(x0, x_t, t, previous)
    torch.testing.assert_close(mean, math.sqrt(bar) * x0 + gain * (x_t - math.sqrt(bar_t) * x0), rtol=1e-9, atol=1e-11)
    assert variance == pytest.approx((1 - bar) - gain * covariance, rel=1e-8, abs=1e-12)


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize("t", [0, 39, 487, 900])
def test_the_target_tells_the_clean_image_and_the_noise(prediction, t):
    own = process(prediction)
    x0, noise, batch_t = pure_noise(seed=3).clamp(-1, 1), pure_noise(seed=4), torch.full((3,), t)
    x_t = own.noised(x0, noise, batch_t)
    target = own.target(x0, noise, batch_t)
    torch.testing.assert_close(own.denoised(target, x_t, batch_t), x0, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(own.noise_estimate(target, x_t, batch_t), noise, rtol=1e-9, atol=1e-9)


@settings(max_examples=60)
@given(st.integers(0, 999), st.floats(-3, 3), st.floats(-3, 3))
def test_epsilon_and_v_are_converted_into_each_other_without_loss(t, x, noise):
    x, noise, batch_t = (
        torch.full((1, 1, 1, 1), x).double(),
        torch.full((1, 1, 1, 1), noise).double(),
        torch.tensor([t]),
    )
    as_epsilon, as_v = process("epsilon"), process("v")
    # The same estimate of the noise, told as epsilon and as v, is the same estimate of the clean image.
    x0 = as_epsilon.denoised(noise, x, batch_t)
    v = as_v.target(x0, noise, batch_t)
    scale = 1 + abs(x0).max().item()
    torch.testing.assert_close(as_v.denoised(v, x, batch_t), x0, rtol=0, atol=1e-10 * scale)
    torch.testing.assert_close(as_v.noise_estimate(v, x, batch_t), noise, rtol=0, atol=1e-10 * scale)


def test_each_image_of_a_batch_is_noised_to_its_own_timestep():
    x0, noise, t = pure_noise(seed=3), pure_noise(seed=4), torch.tensor([999, 0, 500])
    together = process().noised(x0, noise, t)
    for k in range(3):
        torch.testing.assert_close(together[k : k + 1], process().noised(x0[k : k + 1], noise[k : k + 1], t[k : k + 1]))


@pytest.mark.parametrize("steps", [2, 6, 25, 50, 100, 250, 300, 999, 1000])
def test_timesteps_are_the_trailing_ones_of_diffusers(steps):
    oracle = scheduler("DDIMScheduler", "epsilon", clip=False, steps=steps)
    assert trailing_timesteps(1000, steps) == oracle.timesteps.tolist()[:steps]


@given(st.integers(10, 2000).flatmap(lambda total: st.tuples(st.just(total), st.integers(2, total))))
def test_any_number_of_steps_starts_at_pure_noise_and_visits_each_timestep_once(pair):
    total, steps = pair
    visited = trailing_timesteps(total, steps)
    assert len(visited) == steps
    assert visited[0] == total - 1
    assert visited[-1] >= 0
    assert all(a > b for a, b in pairwise(visited))


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize("clip", [True, False], ids=["clipped", "not clipped"])
@pytest.mark.parametrize("steps", [25, 100])
def test_a_ddim_trajectory_is_that_of_diffusers(prediction, clip, steps, schedule):
    oracle = scheduler("DDIMScheduler", prediction, clip, schedule, steps)
    denoiser, x = curved(prediction), pure_noise()
    seen = []
    own = process(prediction, schedule=schedule)
    image = ddim(denoiser, x, own, trailing_timesteps(1000, steps), None, clip, lambda *told: seen.append(told))
    # diffusers keeps the cosine schedule in single precision.
    tolerance = {"rtol": 1e-8, "atol": 1e-10} if schedule == "linear" else {"rtol": 2e-3, "atol": 1e-3}
    for t, x_t, x0 in seen:
        torch.testing.assert_close(x_t, x.to(x_t.dtype), **tolerance)
        stepped = oracle.step(denoiser(x, torch.full((3,), t)), t, x)
        torch.testing.assert_close(x0, stepped.pred_original_sample.to(x0.dtype), **tolerance)
        x = stepped.prev_sample
    torch.testing.assert_close(image, x.to(image.dtype), **tolerance)


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize("clip", [True, False], ids=["clipped", "not clipped"])
@pytest.mark.parametrize("steps", [25, 1000], ids=["respaced", "full"])
def test_an_ancestral_trajectory_with_the_same_noise_is_that_of_diffusers(prediction, clip, steps):
    oracle = scheduler("DDPMScheduler", prediction, clip, steps=steps)
    denoiser, x = curved(prediction), pure_noise()
    own_draws, oracle_draws = torch.Generator().manual_seed(7), torch.Generator().manual_seed(7)
    image = ancestral(
        denoiser,
        x,
        process(prediction),
        trailing_timesteps(1000, steps),
        lambda t: torch.randn(x.shape, generator=own_draws, dtype=x.dtype),
        clip,
    )
    for t in oracle.timesteps:
        x = oracle.step(denoiser(x, t.expand(3)), int(t), x, generator=oracle_draws).prev_sample
    torch.testing.assert_close(image, x, rtol=1e-7, atol=1e-8)


MEAN, SPREAD = 0.3, 0.4


def exact(own, mean=MEAN, spread=SPREAD):
    """The denoiser of data N(mean, spread^2), each pixel for itself: the conditional mean of a joint Gaussian."""

    def answer(x, t):
        alpha_bar = own.alpha_bar[t].view(-1, 1, 1, 1)
        gain = alpha_bar.sqrt() * spread**2 / (alpha_bar * spread**2 + 1 - alpha_bar)
        x0 = mean + gain * (x - alpha_bar.sqrt() * mean)
        noise = (x - alpha_bar.sqrt() * x0) / (1 - alpha_bar).sqrt()
        return noise if own.prediction == "epsilon" else alpha_bar.sqrt() * noise - (1 - alpha_bar).sqrt() * x0

    return answer


def moments_of_the_chain():
    """Mean and variance that full ancestral sampling with the exact denoiser must have: every step is affine."""
    alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
    mean, variance = 0.0, 1.0
    for bar, before in zip(alpha_bar[::-1], [*alpha_bar[-2::-1], 1.0], strict=True):
        gain = math.sqrt(bar) * SPREAD**2 / (bar * SPREAD**2 + 1 - bar)
        from_x0 = math.sqrt(before) * (1 - bar / before) / (1 - bar)
        slope = from_x0 * gain + math.sqrt(bar / before) * (1 - before) / (1 - bar)
        mean = slope * mean + from_x0 * MEAN * (1 - gain * math.sqrt(bar))
        variance = slope**2 * variance + (1 - before) / (1 - bar) * (1 - bar / before)
    return mean, variance


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_full_ancestral_sampling_with_the_exact_denoiser_draws_from_the_data(prediction):
    own, draws, n = process(prediction), torch.Generator().manual_seed(3), 10_000
    x = ancestral(
        exact(own),
        pure_noise(n, 1),
        own,
        range(999, -1, -1),
        lambda t: torch.randn(n, 1, 1, 1, generator=draws, dtype=torch.float64),
        clip=False,
    )
    mean, variance = moments_of_the_chain()
    # The variance for a known image is a little small for a spread one: a thousand steps lose 2% of the data's.
    assert mean == pytest.approx(MEAN, abs=1e-4)
    assert variance == pytest.approx(SPREAD**2, rel=0.02)
    # Within four standard errors of the Monte Carlo.
    assert x.mean().item() == pytest.approx(mean, abs=4 * math.sqrt(variance / n))
    assert x.var().item() == pytest.approx(variance, rel=4 * math.sqrt(2 / n))


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_ddim_approaches_the_exact_deterministic_map_as_steps_grow(prediction):
    # The probability flow of Gaussian data keeps each point at the same number of standard deviations.
    own, x = process(prediction), pure_noise()
    last = own.alpha_bar[-1]
    spread_t = (last * SPREAD**2 + 1 - last).sqrt()
    flow = MEAN + SPREAD * (x - last.sqrt() * MEAN) / spread_t
    errors = []
    for steps in (10, 40, 160, 640):
        image = ddim(exact(own), x, own, trailing_timesteps(1000, steps), clip=False)
        errors.append((image - flow).abs().max().item())
    ratios = [coarse / fine for coarse, fine in pairwise(errors)]
    assert all(ratio > 2.5 for ratio in ratios), errors  # of first order: four times the steps, a quarter of the error
    assert errors[-1] < 0.01


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_data_of_a_single_image_are_reached_exactly(sampler):
    own = process("v")
    denoiser, timesteps = exact(own, mean=0.6, spread=0.0), trailing_timesteps(1000, 7)
    image = SAMPLERS[sampler](denoiser, pure_noise(), own, timesteps, lambda t: pure_noise(seed=t))
    torch.testing.assert_close(image, torch.full_like(image, 0.6), rtol=0, atol=1e-9)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("clip", [True, False])
def test_the_callback_sees_every_step_and_the_estimate_that_is_used(sampler, clip):
    own, timesteps, x = process("epsilon"), trailing_timesteps(1000, 8), pure_noise()
    seen, asked = [], []

    def denoiser(x, t):
        asked.append((t.clone(), x))
        return 3 * x

    def noise(t):
        assert t in timesteps[:-1]  # none is asked for once the image is clean
        return pure_noise(seed=t)

    keep = lambda *told: seen.append(told)  # noqa: E731
    image = SAMPLERS[sampler](denoiser, x, own, timesteps, noise, clip, keep)
    assert [t for t, _, _ in seen] == timesteps
    for (t, x_t, x0), (asked_t, asked_x) in zip(seen, asked, strict=True):
        assert asked_t.tolist() == [t] * 3
        assert x_t is asked_x
        estimate = own.denoised(3 * x_t, x_t, asked_t)
        torch.testing.assert_close(x0, estimate.clamp(-1, 1) if clip else estimate)
    torch.testing.assert_close(image, seen[-1][2])  # the last estimate is the image


def test_samplers_leave_their_noise_alone():
    x = pure_noise()
    kept = x.clone()
    ddim(curved("v"), x, process("v"), [999, 500])
    ancestral(curved("v"), x, process("v"), [999, 500], lambda t: pure_noise(seed=t))
    torch.testing.assert_close(x, kept, rtol=0, atol=0)


def test_a_configuration_may_name_every_sampler_and_no_other():
    assert set(SAMPLERS) == set(get_args(SamplerName))


def test_an_unknown_sampler_is_refused_by_name():
    with pytest.raises(ValueError, match=r"'heun'.*ddim, ancestral"):
        named_sampler("heun")
    with pytest.raises(ValueError, match="noise"):
        ancestral(curved("v"), pure_noise(), process("v"), [999, 500])


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_images_keep_their_precision(prediction):
    x = pure_noise().float()
    assert ddim(curved(prediction), x, process(prediction), [999, 500]).dtype == torch.float32
