"""The columns of every table: name, kind, unit and what it says.

They are written here as for bumps, whose factors are x and y; :meth:`Table.of` has those of other worlds.
"""

from __future__ import annotations

from bumpscope.store.columns import IMAGE, VECTOR, Column, Table, columns

# What reads tables imports all from here.
__all__ = ["IMAGE", "OF_ACTIVATIONS", "OF_IMAGES", "TABLES", "VECTOR", "Column", "Table"]
# Tables that a run has only if images were generated from its checkpoints; the first only if activations were measured.
OF_ACTIVATIONS = ("geometry", "embedding", "umaps", "topology", "phases")
OF_IMAGES = ("samples", "behaviour", "latents", *OF_ACTIVATIONS)

_STEP = "step | int | optimiser steps | training checkpoint\n"
_WEIGHTS = (
    "weights | text | – | raw, or ema: their moving average; in latents, geometry and metrics also default: an"
    " untrained control, at step 0 and with shared noise\n"
)
_WHERE = (
    _STEP
    + _WEIGHTS
    + (
        "layer | text | – | block of the denoiser whose output this is, or image: the generated images, a control\n"
        "t | int | – | diffusion timestep that the sampler really visited; 0: the finished image, seen by the network"
        " once more, or the images themselves\n"
    )
)
_NOISE = "noise | text | – | own: each image starts from its own noise; shared: a control, all start from the same\n"
_REQUEST = (
    _STEP
    + _WEIGHTS
    + (
        "sample | int | – | number of the generated image, the same request and noise at every checkpoint\n"
        "mu_x | float | px | requested centre, x (column)\n"
        "mu_y | float | px | requested centre, y (row)\n"
        "split | text | – | seen, heldout (withheld combination) or between (between lattice points)\n"
    )
)
_ARM = (
    "arm | text | – | the denoiser, and stripes where training has them\n"
    "design | text | – | even: the combinations shown in a row are evenly spaced; random: rows and columns shuffled\n"
    "positions | int | – | N, positions on an axis\n"
    "image_size | int | px | side of the image\n"
    "training_steps | int | optimiser steps | length of the training\n"
)

TABLES: dict[str, Table] = {
    "dataset": Table(
        "datasets/{dataset}.parquet",
        "a lattice point, or a stripe",
        columns(
            "mu_x | float | px | centre, x (column); empty for a stripe along x\n"
            "mu_y | float | px | centre, y (row); empty for a stripe along y\n"
            "probability | float | – | probability that a training image is drawn here; 0 for a withheld point\n"
            "split | text | – | seen, heldout where the combination is withheld, or stripe\n"
            "image | image | intensity 0 to 1 | N x N pixels, row-major (row = y)"
        ),
    ),
    "runs": Table(
        "runs.parquet",
        "a run",
        columns(
            "run | text | – | run id\n"
            "dataset | text | – | name of the dataset\n"
            "seed | int | – | random seed\n"
            "world | text | – | the key `world.kind`, or as JSON where `world` has other keys\n"
            "factors | text | – | factors of the world; those joined by + are judged by their common distance\n"
            "dx | float | px | lattice spacing, x; like the next keys empty where the world does not depend on it\n"
            "dy | float | px | lattice spacing, y\n"
            "image_size | int | px | side of the image\n"
            "sigma | float | px | standard deviation of a bump\n"
            "margin | float | px | kept free of centres at each edge\n"
            "boundary | text | – | plane or torus\n"
            "polarity | text | – | bright or dark\n"
            "skew_axis | text | – | none, x, y or both\n"
            "skew_alpha | float | – | exponent of the sampling power law\n"
            "holdout | text | px | none, or the withheld block: x=[5.0, 8.0], y=[5.0, 8.0]\n"
            "shown | text | – | all, or the design of the combinations that training shows: each=2\n"
            "stripes | float | – | share of the training images that are stripes\n"
            "prediction | text | – | what the network predicts: epsilon or v\n"
            "reference | text | – | none: the denoiser under study; else a model of known coupling: factorised,"
            " gated, equal_resolution or own_resolution\n"
            "denoiser | text | – | the key `denoiser.kind`, with other keys of `denoiser` in brackets\n"
            "n_images | int | – | lattice points with a probability above 0\n"
            "n_parameters | int | – | trainable parameters\n"
            "network | text | – | fingerprint of the sizes and keys of the denoiser (sixteen hexadecimal digits)\n"
            "timesteps | int | – | number of noising steps T\n"
            "noise_schedule | text | – | variance schedule of the noise: linear or cosine\n"
            "labels | text | – | own, or permuted: a control, trained to draw another image than the one asked for\n"
            "batch_size | int | images | images in an optimiser step\n"
            "training_steps | int | optimiser steps | length of the training\n"
            "learning_rate | float | – | peak learning rate\n"
            "schedule | text | – | learning rate after the warm-up: constant or cosine\n"
            "warmup_steps | int | optimiser steps | linear warm-up\n"
            "weight_decay | float | – | decoupled weight decay\n"
            "gradient_clip | float | – | largest L2 norm of the gradient\n"
            "ema_decay | float | – | decay of the moving average of the weights\n"
            "precision | text | – | arithmetic of the training: float32, tf32 or bfloat16\n"
            "trained | text | – | fingerprint of the settings of model, diffusion and training, without checkpoints,"
            " logging and compilation; datasets are compared only where it is the same\n"
            "weights | text | – | raw or ema: the weights that verdicts are read from\n"
            "tables | text | – | tables of the run's own, separated by spaces; others that may lie in its folder are of"
            " other settings and not read\n"
            "path | text | – | folder of the run, relative to the output folder\n"
            "device | text | – | what trained it: cpu or cuda\n"
            "processor | text | – | model of the CPU\n"
            "instructions | text | – | latest of the CPU's instructions that torch used; results depend on them\n"
            "gpu | text | – | model of the GPU; empty on a CPU\n"
            "cuda | text | – | CUDA of torch, and the driver; empty on a CPU\n"
            "threads | int | – | threads of the training\n"
            "system | text | – | operating system, kind of machine, C library\n"
            "python | text | – | version of Python\n"
            "numpy | text | – | version of numpy\n"
            "torch | text | – | version and build of torch\n"
            "version | text | – | version of bumpscope that trained it\n"
            "code | text | – | fingerprint of all code that the training used (sixteen hexadecimal digits)"
        ),
    ),
    "losses": Table(
        "{path}/losses.parquet",
        "a logged step",
        columns(
            _STEP + "loss | float | – | mean squared error of the prediction, mean since the row before\n"
            "learning_rate | float | – | of this step\n"
            "images_seen | int | images | training images drawn so far"
        ),
    ),
    "samples": Table(
        "{path}/samples.parquet",
        "a generated image",
        columns(
            _REQUEST + "noise_seed | int | – | seed of this image's own noise\n"
            "image | image | intensity | N x N pixels, row-major (row = y); training images lie in 0 to 1"
        ),
    ),
    "behaviour": Table(
        "{path}/behaviour.parquet",
        "a generated image",
        columns(
            _REQUEST + "bumps | int | – | bumps of at least the faint amplitude\n"
            "x | float | px | fitted centre of the strongest bump, x; empty without a bump\n"
            "y | float | px | fitted centre of the strongest bump, y; empty without a bump\n"
            "amplitude | float | intensity | its fitted amplitude; a true bump has 1\n"
            "width | float | px | its fitted standard deviation\n"
            "error | float | px | distance from the request (periodic on a torus); empty without a bump\n"
            "outcome | text | – | none, multiple, misplaced or correct"
        ),
    ),
    "latents": Table(
        "{path}/latents.parquet",
        "an activation vector",
        columns(
            _WHERE
            + _NOISE
            + "sample | int | – | generated image on whose way the activation was read; with shared noise, "
            "the image of table samples that has the same request\n"
            "vector | vector | activation | channels x rows x columns, flattened in that order"
        ),
    ),
    "geometry": Table(
        "{path}/geometry.parquet",
        "a number",
        columns(
            _WHERE + _NOISE + "space | text | – | raw, pca3, umap2 or umap3: where the number was taken\n"
            "label | text | – | requested, realised or shuffled centres; empty where no label is used\n"
            "metric | text | – | name of the number\n"
            "value | float | see the metric | its value; empty where it is not defined"
        ),
    ),
    "embedding": Table(
        "{path}/embedding.parquet",
        "a point of a picture",
        columns(
            _WHERE
            + "sample | int | – | generated image\n"
            + "\n".join(
                f"{space}_{k} | float | – | coordinate {k} of {text}"
                for space, text in (
                    ("pca", "the checkpoint's own PCA"),
                    ("umap", "UMAP"),
                    ("aligned", "the basis shared by all checkpoints"),
                )
                for k in (1, 2, 3)
            )
        ),
    ),
    "umaps": Table(
        "{path}/umaps.parquet",
        "a point of a UMAP to two dimensions, of a cloud whose phase is read from UMAPs",
        columns(
            _WHERE + _NOISE + "sample | int | – | generated image, or the one whose request it shares\n"
            "umap_1 | float | – | coordinate 1\n"
            "umap_2 | float | – | coordinate 2"
        ),
    ),
    "topology": Table(
        "{path}/topology.parquet",
        "a bar",
        columns(
            _WHERE + "dimension | int | – | homology dimension, 0 to 2\n"
            "birth | float | median distance | radius at which the feature appears\n"
            "death | float | median distance | radius at which it fills; infinite if it never does\n"
            "significant | bool | – | counted as a feature by the rule in docs/science.md"
        ),
    ),
    "effects": Table(
        "{path}/effects.parquet",
        "a probe",
        columns(
            _STEP
            + "t | int | – | diffusion timestep\n"
            + _WEIGHTS
            + "effect_x | float | – | use of the x label; 1: as the Bayes denoiser that knows x; all effects, their"
            " intervals and the residual are empty where the condition exceeds 100, and for an axis with one position\n"
            "effect_y | float | – | the same for y\n"
            "effect_xy | float | – | what needs both labels at once\n"
            "resolution_x | float | px | how well the x label is known: the label noise (standard deviation) of the"
            " exact denoiser closest to the network; at most twice the length of the axis, the label is then not used;"
            " empty for an axis with one position\n"
            "resolution_y | float | px | the same for y\n"
            "residual | float | – | label-independent part of the error, over the blind optimum's\n"
            "excess | float | – | whole error over the blind optimum's; 1: label-blind optimum, 0: perfect\n"
            "effect_x_low | float | – | lower end of the 95% bootstrap interval over probes\n"
            "effect_x_high | float | – | upper end\n"
            "effect_y_low | float | – | lower end\n"
            "effect_y_high | float | – | upper end\n"
            "heldout_x | float | – | use of the x label for withheld combinations; 1: as the Bayes denoiser to which"
            " nothing was withheld; empty where nothing is withheld\n"
            "heldout_y | float | – | the same for y\n"
            "heldout_xy | float | – | the same for what needs both labels at once\n"
            "condition | float | – | condition number of the fit; above 100 the effects would mean little"
        ),
    ),
    "frequency": Table(
        "{path}/frequency.parquet",
        "a probe of a pair of frequency bins, of the raw weights; none unless `probe.frequency_bins` is on",
        columns(
            _STEP + "t | int | – | diffusion timestep\n"
            "bin_x | text | – | common, middle or rare: a third of the x positions each, by rank of frequency; or all\n"
            "bin_y | text | – | the same for y\n"
            "probes | int | – | noised images in the fit\n"
            "effect_x | float | – | use of the x label in these bins, as in table effects; effects are empty where the"
            " condition of their fit exceeds 100\n"
            "effect_y | float | – | the same for y\n"
            "excess | float | – | whole error over the blind optimum's\n"
            "effect_x_permuted | float | – | a control: the same where the x label is that of another probe\n"
            "use_x | float | – | how much worse another probe's x label makes the answer; 0: ignored, 1: obeyed\n"
            "effect_y_permuted | float | – | as effect_x_permuted, for y\n"
            "use_y | float | – | as use_x, for y"
        ),
    ),
    "interventions": Table(
        "{path}/interventions.parquet",
        "what is drawn under one intervention; none without `probe.interventions`, or where the denoiser offers none",
        columns(
            _STEP + "weights | text | – | raw\n"
            "intervention | text | – | none; labels: the blocks up to this layer get the request, later ones another"
            " centre; removed: the subspace that tells the label, taken out of the layer; random: a control, a change"
            " as large along as many random directions; patched: the label's subspace, taken from an image of the"
            " other centre; ablated: the whole layer, replaced by its mean\n"
            "layer | text | – | where; with labels at the last layer all blocks get the request, a control\n"
            "samples | int | images | drawn, of centres that no subspace was fitted to\n"
            "share_own | float | – | of these with one bump, within the tolerance of the request\n"
            "share_other | float | – | with one bump, within the tolerance of the other centre\n"
            "share_between | float | – | with one bump, on the way from one to the other: at most the tolerance of a"
            " detour\n"
            "share_elsewhere | float | – | with one bump anywhere else\n"
            "share_multiple | float | – | with several bumps\n"
            "share_none | float | – | without a bump\n"
            "dimension | int | – | of the subspace; empty where there is none\n"
            "variance | float | – | its share of the variance of the layer, mean over timesteps\n"
            "t | int | – | timestep that decodability is read down to, the one that phases are judged at\n"
            "r2_x | float | – | cross-validated linear R² of the requested x from the layer, the highest of five"
            " timesteps from pure noise down to t; for none and removed\n"
            "r2_y | float | – | the same of y\n"
            "knn_r2_x | float | – | the same of x from the 8 nearest\n"
            "knn_r2_y | float | – | the same of y"
        ),
    ),
    "phases": Table(
        "{path}/phases.parquet",
        "a checkpoint at a place",
        columns(
            _WHERE + "judged | bool | – | whether verdicts are read at this layer and t, the first that are probed\n"
            "latent_phase | text | – | A, B, C, ? or blind: from geometry alone\n"
            "behaviour_phase | text | – | A, B, C or ?: from outcomes alone\n"
            "order | text | – | how far the requests order the latents: none, partial or full; empty where unknown\n"
            "reason | text | – | the numbers behind the latent verdict\n"
            "latent_phase_umap | text | – | A, B, C, ? or blind: as the paper reads UMAPs; empty where not read\n"
            "order_umap | text | – | as order, in UMAPs\n"
            "latent_phase_umap_shared | text | – | as latent_phase_umap, of images that share their noise"
        ),
    ),
    "metrics": Table(
        "metrics.parquet",
        "a number of a checkpoint of a run; columns from factor to bin are empty where they do not apply",
        columns(
            "run | text | – | run id\n"
            "dataset | text | – | name of the dataset\n"
            "seed | int | – | random seed\n"
            + _STEP
            + "quantity | text | – | name of the number; src/bumpscope/measure/metrics.py lists all\n"
            "factor | text | – | label or axis that it is about: x, y, or xy for both at once\n"
            "layer | text | – | as in table geometry\n"
            "t | int | – | diffusion timestep; 0 for images\n"
            "space | text | – | as in table geometry\n"
            "label | text | – | as in table geometry; exact, copier or kernel where these stand in for the network\n"
            "split | text | – | split of the requested centres, or all\n"
            "noise | text | – | own or shared, as in table geometry\n"
            + _WEIGHTS
            + "bin | text | – | frequency bins of the positions, such as x=rare,y=all\n"
            "value | float | see the quantity | its value; empty where it is not defined"
        ),
    ),
    "coupling": Table(
        "coupling.parquet",
        "an imbalanced dataset against its nulls, by one measure",
        columns(
            "dataset | text | – | the imbalanced dataset\n"
            "kind | text | – | lattice (unequal spacing), frequency (one axis skewed) or both; of two factors that"
            " cannot be swapped their names, such as x_size, where the first stands for x below and the second for y\n"
            "reference | text | – | none: the denoiser under study; else a model of known coupling: factorised,"
            " gated, equal_resolution or own_resolution\n"
            "measure | text | – | learning curves the times come from, of raw weights: resolution (px), effects,"
            " rare (use_x and use_y of table frequency at rare positions; skewed axes only) or accuracy\n"
            "nulls | text | – | one_dimensional (each axis with one position on the other) or balanced; empty without"
            " nulls\n"
            "t | int | – | timestep of the curves: one that the dataset shares with its swapped dataset and its nulls;"
            " empty for accuracy\n"
            "coupling | float | – | 0 factorised, 1 coupled, above 1 reversed; empty without nulls that differ\n"
            "low | float | – | lower end of its 95% interval\n"
            "high | float | – | upper end\n"
            "in_steps | float | – | the same index of differences in steps in place of ln steps, which a delay of both"
            " axes does not change\n"
            "in_steps_low | float | – | lower end of its 95% interval\n"
            "in_steps_high | float | – | upper end\n"
            "gap | float | ln steps | gap of the pair: mean of ln tau_x - ln tau_y here and ln tau_y - ln tau_x in"
            " the swapped dataset; empty without that\n"
            "gap_low | float | ln steps | lower end of its 90% interval\n"
            "gap_high | float | ln steps | upper end\n"
            "null_gap | float | ln steps | the same difference between the nulls\n"
            "null_low | float | ln steps | lower end of its 95% interval\n"
            "null_high | float | ln steps | upper end\n"
            "runs | int | – | seeds that the estimate rests on\n"
            "censored | int | – | runs in which a curve never reached its level\n"
            "simultaneous | text | – | yes if the 90% interval of the pair's gap lies inside ±ln 1.1, else no or"
            " undetermined\n"
            "verdict | text | – | coupled, factorised, partial, reversed or undetermined, by both indices\n"
            "delay | float | ln steps | how much later than in the count-matched dataset, mean of both axes\n"
            "delay_low | float | ln steps | lower end of its 95% interval\n"
            "delay_high | float | ln steps | upper end\n"
            "swapped | text | – | the dataset with the axes swapped; empty where there is none\n"
            "null_x | text | – | the dataset that stands for x\n"
            "null_y | text | – | the dataset that stands for y\n"
            "matched | text | – | the balanced dataset with as many images"
        ),
    ),
    "onsets": Table(
        "onsets.parquet",
        "a dataset's times, by one measure",
        columns(
            "dataset | text | – | name of the dataset\n"
            "measure | text | – | as in table coupling\n"
            "t | int | – | timestep of the curves, one that most datasets have; empty for accuracy\n"
            "tau_x | float | optimiser steps | when the x curve crosses its level (resolution 3 px, else one half),"
            " geometric mean over seeds; empty for an axis with one position\n"
            "tau_x_low | float | optimiser steps | lower end of its 95% interval\n"
            "tau_x_high | float | optimiser steps | upper end\n"
            "tau_y | float | optimiser steps | the same for y\n"
            "tau_y_low | float | optimiser steps | lower end\n"
            "tau_y_high | float | optimiser steps | upper end\n"
            "own_gap | float | ln steps | mean of ln tau_x - ln tau_y, of this dataset alone\n"
            "own_gap_low | float | ln steps | lower end of its 90% interval\n"
            "own_gap_high | float | ln steps | upper end\n"
            "correlation | float | – | of ln tau_x and ln tau_y over seeds (Pearson)\n"
            "correlation_low | float | – | lower end of its 95% interval (Fisher)\n"
            "correlation_high | float | – | upper end\n"
            "runs | int | – | seeds in which both curves' crossings can be timed; all else rests on these\n"
            "censored | int | – | seeds in which a curve never reached its level"
        ),
    ),
    "factorisation": Table(
        "factorisation.parquet",
        "a number that says how far the last representation of a dataset is factorised, beside how it was learnt",
        columns(
            "dataset | text | – | name of the dataset\n"
            "layer | text | – | block of the denoiser, or image: the generated images, a control\n"
            "t | int | – | diffusion timestep; 0 for images\n"
            "metric | text | – | additive_share, parallelism_x, parallelism_y, orthogonality or tangent_cosine\n"
            "value | float | – | at the last probed checkpoint, mean over seeds\n"
            "low | float | – | lower end of its 95% interval\n"
            "high | float | – | upper end\n"
            "shared | float | – | the same where all images start from the same noise\n"
            "untrained | float | – | a control: as shared, of an untrained network with default weights\n"
            "permuted | float | – | a control: as shared, of networks trained on permuted labels\n"
            "runs | int | – | seeds in which it is defined\n"
            "coupling | float | – | coupling index by resolution; empty where the dataset has none\n"
            "coupling_low | float | – | lower end of its 95% interval\n"
            "coupling_high | float | – | upper end\n"
            "own_gap | float | ln steps | by resolution, as in table onsets\n"
            "verdict | text | – | verdict on its coupling; empty where the dataset is balanced"
        ),
    ),
    "arms": Table(
        "arms.parquet",
        "a dataset of the factorisation benchmark: one that shows as many combinations in each row",
        columns(
            "dataset | text | – | name of the dataset\n"
            "told | text | – | what its denoiser is told beyond the labels; empty if it does not say\n"
            "n_parameters | int | – | trainable parameters\n"
            "operations | int | multiply-adds | of a prediction for one image\n"
            "training_operations | int | multiply-adds | of a training step for one image"
        ),
    ),
    "combinations": Table(
        "combinations.parquet",
        "an arm of the factorisation benchmark at one number of shown combinations, after the last step",
        columns(
            _ARM + "shown | int | – | K, the combinations of x and y that training shows, of N²\n"
            "heldout | float | – | share of the images of withheld combinations that are right, within 0.45 of the"
            " spacing on each axis\n"
            "heldout_low | float | – | lower end of its 95% interval over seeds; empty below two\n"
            "heldout_high | float | – | upper end\n"
            "seen | float | – | the same share for combinations that were shown\n"
            "beyond_product | float | – | share right on both axes less the product of those on each, withheld"
            " combinations; 0 where the axes fail apart\n"
            "use_x | float | – | use of the x label for withheld combinations, heldout_x of table effects at its middle"
            " t, mean over runs\n"
            "use_y | float | – | the same for y\n"
            "onset_x | float | optimiser steps | when use_x reaches one half, geometric mean over runs; infinite if it"
            " never does in one\n"
            "onset_y | float | optimiser steps | the same for y\n"
            "requests | int | images | of withheld combinations, of all runs\n"
            "runs | int | – | runs that it rests on, one a seed"
        ),
    ),
    "leaderboard": Table(
        "leaderboard.parquet",
        "an arm of the factorisation benchmark on lattices of N positions an axis, best first",
        columns(
            _ARM + "told | text | – | what the arm is told beyond the labels; empty if it does not say\n"
            "k_star | float | – | K*, the least number of shown combinations from which 0.9 of the images of withheld"
            " ones are right\n"
            "low | float | – | lower end of its 95% interval; empty below two seeds\n"
            "high | float | – | upper end\n"
            "bound | text | – | at most (high), where the fewest that were shown may be enough, and k_star is these; at"
            " least (low), where even the most may not be, and k_star is N²; else empty\n"
            "ratio | float | – | K* over that of the plain UNet, both of the seeds that both have; empty without any\n"
            "ratio_low | float | – | lower end of its 95% interval; empty below two such seeds\n"
            "ratio_high | float | – | upper end\n"
            "exponent | float | – | d ln k_star / d ln N: 1 for a multiple of N, 2 for a share of N²; of the N"
            " with the most seeds; empty for one N\n"
            "exponent_low | float | – | lower end of its 95% interval\n"
            "exponent_high | float | – | upper end\n"
            "seen_accuracy | float | – | share right for combinations that were shown, mean over runs\n"
            "n_parameters | int | – | trainable parameters\n"
            "operations | int | multiply-adds | of a prediction for one image\n"
            "training_operations | int | multiply-adds | of a training step for one image\n"
            "guardrails | text | – | what makes the comparison with the plain UNet unfair; empty if nothing does\n"
            "seeds | int | – | seeds; below five the numbers describe and prove nothing\n"
            "runs | int | – | runs that it rests on"
        ),
    ),
    "claims": Table(
        "claims.parquet",
        "a claim",
        columns(
            "claim | text | – | id of the claim\n"
            "statement | text | – | what is claimed\n"
            "statistic | text | – | what was computed\n"
            "estimate | float | see the statistic | its value; empty without data\n"
            "low | float | see the statistic | lower end of its 95% interval\n"
            "high | float | see the statistic | upper end\n"
            "runs | int | – | runs that it rests on\n"
            "verdict | text | – | supported, contradicted or undetermined\n"
            "reason | text | – | the checks that decide, in words"
        ),
    ),
    "evidence": Table(
        "evidence.parquet",
        "a check of a claim: a number, and a bound that it was held against",
        columns(
            "claim | text | – | id of the claim\n"
            "quantity | text | – | name of the count or estimate\n"
            "subject | text | – | what it is of (a phase, a place, a spacing, a split); empty where it is of all\n"
            "value | float | see the quantity | its value\n"
            "low | float | see the quantity | lower end of its 95% interval; empty for a count\n"
            "high | float | see the quantity | upper end\n"
            "bound | text | – | what the number, or the whole interval, must keep to; empty where it is only shown\n"
            "passed | bool | – | whether it does; empty where there is no bound\n"
            "role | text | – | needed (for any verdict), supports, contradicts, or shown (not judged)"
        ),
    ),
    "sensitivity": Table(
        "sensitivity.parquet",
        "a claim judged with one choice changed; made by `snakemake sensitivity`",
        columns(
            "factor | text | – | changed choice: tolerance, place (layer and t), samples, sampler, weights; configured:"
            " none\n"
            "level | text | – | what it is changed to\n"
            "claim | text | – | id of the claim\n"
            "estimate | float | as in claims | its value; empty without data\n"
            "low | float | as in claims | lower end of its 95% interval\n"
            "high | float | as in claims | upper end\n"
            "runs | int | – | runs that it rests on\n"
            "verdict | text | – | supported, contradicted or undetermined\n"
            "changed | bool | – | whether the experiment's own verdict, in table claims, is another\n"
            "reason | text | – | the checks that decide, in words"
        ),
    ),
    "places": Table(
        "places.parquet",
        "a checkpoint of a run at one layer and t; made by `snakemake sensitivity`",
        columns(
            "run | text | – | run id\n"
            "dataset | text | – | name of the dataset\n"
            "seed | int | – | random seed\n"
            + _WHERE
            + "latent_phase | text | – | A, B, C, ? or blind: from geometry alone, at this place\n"
            "behaviour_phase | text | – | A, B, C or ?: from outcomes alone\n"
            "order | text | – | how far the requests order the cloud: none, partial or full; empty where unknown\n"
            "dimension | float | – | intrinsic dimension (MADA) of the denoised cloud\n"
            + "\n".join(
                f"{metric}_{label} | float | – | {text} {label} centre"
                for metric, text in (
                    ("r2", "cross-validated linear R² of the"),
                    ("knn_r2", "R² of the 8 nearest in the denoised cloud, for the"),
                    ("trustworthiness", "trustworthiness of the denoised cloud for the"),
                )
                for label in ("requested", "realised")
            )
        ),
    ),
}
# A variant of the probe is read like the probe itself; which outcome an image has is decided later, by a tolerance.
TABLES["varied_behaviour"] = Table(
    "sensitivity/{variant}/{path}/behaviour.parquet",
    "an image that a variant of the probe generated; made by `snakemake sensitivity`",
    tuple(column for column in TABLES["behaviour"].columns if column.name != "outcome"),
)
TABLES["varied_geometry"] = Table(
    "sensitivity/{variant}/{path}/geometry.parquet",
    "a number of a variant of the probe, as in geometry but for umap3; made by `snakemake sensitivity`",
    TABLES["geometry"].columns,
)
