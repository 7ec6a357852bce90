"""Claims of the page advice: where to put a norm, how to start it, what it costs and saves."""

from functools import partial

from normcourse.lab.advice import (
    before_the_output,
    company,
    defaults,
    epsilon,
    fine_tuning,
    inference_time,
    mixed,
    placement,
    recurrent_batch_norm,
    regularization,
    starting,
    training_time,
    undone,
)
from normcourse.lab.claims.record import Claim, Experiment, Figure, Source, State

SEEDS = tuple(range(500, 510))

MLP = "Digits, three hidden layers of 32, ReLU, He, batches of 64"
BEST = "each at the best of the rates 0.1, 0.3 and 1"
FEW = Experiment(
    regularization,
    "Digits, three hidden layers of 32, ReLU, He; 100 or 400 digits to train on, 600 steps at rate "
    "0.1, batches of 16. Dropout of 0.2 behind each ReLU, or weight decay of 0.01.",
    SEEDS,
    study="advice_regularization",
    reduced=partial(regularization, steps=3),
)
NEW_SEEDS = tuple(range(510, 515))
UNTRAINED = (
    "The first run averaged over the positions before the last layer, and left most convolutional "
    "networks untrained: 13 % with instance norm, 29 % with group norm. Now that layer sees each "
    "position. The same criterion, new seeds."
)
FITS = Figure("training accuracy", "fit", unit="%", above=0.98, premise=True)

CLAIMS = [
    Claim(
        "keep_the_original",
        "When fine-tuning, keep the original normalization.",
        Experiment(
            fine_tuning,
            f"{MLP}, with batch norm, 150 steps on upright digits; then 30 steps on 200 that lie "
            "on their side, at the best of the rates 0.03, 0.1 and 0.3.",
            SEEDS,
            study="advice_fine_tuning",
            reduced=partial(fine_tuning, steps=5),
        ),
        (
            Figure(
                "accuracy with it minus that with",
                "lost",
                unit="pts",
                above=0,
                when="keeping it over {}",
            ),
            Figure("accuracy", "accuracy", unit="%"),
        ),
    ),
    Claim(
        "samples_depend",
        "Batch norm makes the samples of a batch depend on each other.",
        Experiment(
            company,
            f"{MLP}, batch norm, 150 steps at rate 0.3. One test digit in 20 random batches: the "
            "standard deviation of its logits over these, at most, over that among the classes.",
            SEEDS,
            study="advice_company",
            reduced=partial(company, steps=2),
        ),
        (Figure("share by which the logits move", "moved", unit="%", above=0.01),),
    ),
    Claim(
        "affine_undoes",
        "The affine transform lets the network undo the normalization.",
        Experiment(
            undone,
            f"{MLP}, 150 steps at rate 0.3. What the first layer gives for 448 test digits is "
            "normalized; then the best γ and β of each unit are fitted to give it back. Any "
            "brightness: what each digit gives is multiplied by a number from 1/4 to 1.",
            SEEDS,
            study="advice_undone",
            reduced=partial(undone, steps=2),
        ),
        (Figure("share of the variance that is lost", "left", unit="%", below=0.05),),
        {"Ioffe & Szegedy 2015": "arXiv:1502.03167"},
        "The case of any brightness was added after a first run of the other four.",
    ),
    Claim(
        "scale_starts_at_one",
        "The scale starts at 1, the shift at 0.",
        Experiment(
            starting,
            f"{MLP}, batch norm, 60 steps, {BEST}; residual: ten blocks of two linear layers.",
            SEEDS,
            study="advice_starting",
            reduced=partial(starting, steps=2),
        ),
        (
            Figure("accuracy from γ = 1 and β = 0, minus", "gain", unit="pts", above=0),
            Figure("accuracy", "accuracy", unit="%"),
        ),
        {"Goyal et al. 2017": "arXiv:1706.02677"},
    ),
    Claim(
        "placement",
        "Place normalization after the linear layer, before the activation.",
        Experiment(
            placement,
            f"{MLP}, 100 steps, {BEST}.",
            SEEDS,
            study="advice_placement",
            reduced=partial(placement, steps=2),
        ),
        (
            Figure("accuracy before minus behind the activation", "gain", unit="pts", above=0),
            Figure("accuracy", "accuracy", unit="%"),
        ),
        {"Ioffe & Szegedy 2015": "arXiv:1502.03167"},
    ),
    Claim(
        "before_the_output",
        "Do not normalize before the final output layer.",
        Experiment(
            before_the_output,
            f"{MLP}, 150 steps, {BEST}; a Pre-LN transformer of four blocks of width 32 on "
            "characters of English text, Adam, rates 0.001 and 0.003.",
            SEEDS[:5],
            study="advice_output",
            reduced=partial(before_the_output, steps=1, depth=1),
        ),
        (Figure("test loss with it minus without, nats", "cost", above=0),),
    ),
    Claim(
        "epsilon_range",
        "Choose ε between 1e-8 and 1e-5.",
        Experiment(
            epsilon,
            f"{MLP}, batch norm, 100 steps, {BEST}. Float16: the formula on a constant row.",
            SEEDS,
            study="advice_epsilon",
            reduced=partial(epsilon, steps=2),
        ),
        (
            Figure("accuracy lost inside the range", "inside", unit="pts", below=0.02),
            Figure("share of finite results", "half", unit="%", above=0.99),
            Figure(
                "accuracy lost outside",
                "outside",
                unit="pts",
                above=0.02,
                when="what is said of an {}",
            ),
        ),
    ),
    Claim(
        "mixing_types",
        "Do not mix types of normalization.",
        Experiment(
            mixed,
            "Digits, convolutions of 16 and 32 channels, each type alone or one behind each "
            "convolution; 100 steps, batches of 32, the best of the rates 0.03, 0.1 and 0.3.",
            NEW_SEEDS,
            study="advice_mixed",
            reduced=partial(mixed, steps=1),
        ),
        (
            Figure("accuracy of both minus the mean of each", "gain", unit="pts", below=0),
            Figure("accuracy of one alone", "accuracy", unit="%"),
        ),
        {"Pan et al. 2018": "arXiv:1807.09441"},
        UNTRAINED,
    ),
    Claim(
        "rms_default",
        "RMSNorm is the best default for new architectures.",
        Experiment(
            defaults,
            "100 steps, each at its best rate. Digits in convolutions of 16 and 32 channels, or "
            "row by row in a recurrent network of 32 units; English text in a Pre-LN transformer "
            "of four blocks of width 32.",
            NEW_SEEDS,
            study="advice_defaults",
            reduced=partial(defaults, steps=1, depth=1),
        ),
        (
            Figure(
                "the best accuracy minus RMSNorm's",
                "convolutional",
                unit="pts",
                below=0.01,
                when="convolutional networks",
            ),
            Figure(
                "the best accuracy minus RMSNorm's, row by row",
                "recurrent",
                unit="pts",
                below=0.01,
                when="recurrent networks",
            ),
            Figure(
                "RMSNorm's test loss minus layer norm's, nats",
                "transformer",
                below=0.02,
                when="transformers",
            ),
            Figure("accuracy", "accuracy", unit="%"),
            Figure("test loss, nats", "nats"),
        ),
        {"Narang et al. 2021": "arXiv:2102.11972"},
        UNTRAINED,
    ),
    Claim(
        "recurrent_batch_norm",
        "Batch norm suits recurrent networks and sequences of different lengths poorly.",
        Experiment(
            recurrent_batch_norm,
            "Digits row by row, 32 units, tanh, 150 steps, the better of the rates 0.1 and 0.3; or "
            "trained on six rows and tested on eight.",
            SEEDS[:5],
            study="advice_recurrent",
            reduced=partial(recurrent_batch_norm, steps=1),
        ),
        (
            Figure("accuracy of layer norm minus batch norm", "gain", unit="pts", above=0),
            Figure("accuracy", "accuracy", unit="%"),
        ),
        {"Cooijmans et al. 2016": "arXiv:1603.09025"},
    ),
    Claim(
        "used_by",
        "RMSNorm is used in T5, PaLM, LLaMA and GPT-4.",
        literature=(
            Source(
                "T5",
                State.INSIDE,
                "layer norm that only rescales, without an additive bias: RMSNorm by another name",
                "arXiv:1910.10683",
            ),
            Source(
                "PaLM",
                State.ACROSS,
                "writes layer norm, without biases; whether the mean is subtracted, is not said",
                "arXiv:2204.02311",
            ),
            Source("LLaMA", State.INSIDE, "RMSNorm before each sublayer", "arXiv:2302.13971"),
            Source(
                "GPT-4",
                State.ACROSS,
                "the report does not describe the architecture",
                "arXiv:2303.08774",
            ),
        ),
    ),
    Claim(
        "bn_training_time",
        "Batch norm costs 5-10 % of training time, more than repaid.",
        Experiment(
            training_time,
            "Digits, batches of 64, float32, one thread, torch: the least of 60 steps with and "
            "without; until 90 %: times the steps it takes at the best of four rates "
            "from 0.03 to 1.",
            SEEDS[:5],
            study="advice_training_time",
            reduced=partial(training_time, rounds=1, limit=5, target=0),
            timing=True,
        ),
        (
            Figure(
                "time of a step, with over without",
                "step",
                log=True,
                between=(1.05, 1.1),
                when="the cost, {}",
            ),
            Figure(
                "time until 90 %, with over without",
                "until",
                log=True,
                below=1,
                when="the gain, {}",
            ),
        ),
    ),
    Claim(
        "bn_inference_time",
        "At inference batch norm costs almost nothing.",
        Experiment(
            inference_time,
            "Convolutions on 64 digits, float32, one thread, torch: the least of 60 passes, with "
            "over without.",
            SEEDS[:5],
            study="advice_inference_time",
            reduced=partial(inference_time, rounds=1),
            timing=True,
        ),
        (Figure("time, with over without", "time", log=True, below=1.05),),
    ),
    Claim(
        "bn_regularizes",
        "Batch norm regularizes implicitly.",
        FEW,
        (
            FITS,
            Figure("test accuracy, batch norm minus none", "gain", unit="pts", above=0),
            Figure("test accuracy", "test", unit="%"),
        ),
        {"Luo et al. 2018": "arXiv:1809.00846"},
    ),
    Claim(
        "bn_no_substitute",
        "It is no substitute for dropout or weight decay.",
        FEW,
        (FITS, Figure("what they add to batch norm", "added", unit="pts", above=0)),
    ),
    Claim(
        "bn_needs_less_dropout",
        "Batch norm reduces or removes the need for dropout.",
        FEW,
        (
            FITS,
            Figure("gain of dropout without minus with batch norm", "need", unit="pts", above=0),
            Figure("gain of dropout", "dropout", unit="pts"),
        ),
        {"Ioffe & Szegedy 2015": "arXiv:1502.03167", "Li et al. 2018": "arXiv:1801.05134"},
    ),
]
