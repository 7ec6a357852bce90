"""The advice of the guide, each with what carries it and with who disagrees."""

from normcourse.lab.choose.record import PARTS, Advice, Against, Needs

__all__ = ["ADVICE"]

IOFFE = {"Ioffe & Szegedy 2015": "arXiv:1502.03167"}
WU_HE = {"Wu & He 2018": "arXiv:1803.08494"}
WU_JOHNSON = {"Wu & Johnson 2021": "arXiv:2105.07576"}
MIYATO = {"Miyato et al. 2018": "arXiv:1802.05957"}
PENG = {"Peng et al. 2018": "arXiv:1711.07240"}
ACTIVATIONS: Needs = {"what": ("activations",)}
WEIGHTS: Needs = {"what": ("weights",)}
SCRATCH: Needs = {"start": ("scratch",)}
TUNED: Needs = {"start": ("tuned",)}
VISION: Needs = {"network": ("convolution", "detection")}
SMALL: Needs = {"batch": ("1", "2")}

DATA = (
    Advice(
        "standardize",
        "which",
        "Standardize each feature",
        {"what": ("data",)},
        "Take the mean and the standard deviation of the training set alone, and use the same two "
        "numbers ever after. Features on one scale let one learning rate fit all of them.",
        technique="rescaling",
        claims=("feature_scales", "standardization_helps"),
        papers={"LeCun et al. 1998": "https://doi.org/10.1007/3-540-49430-8_2"},
        against=(
            Against(
                "It depends on what learns: a method that does not mind the scale gains nothing. "
                "The claim beside it was tried on three of them.",
                claims=("standardization_helps",),
            ),
        ),
        write="rescaling",
    ),
    Advice(
        "min-max",
        "instead",
        "Min-max scaling, where the range is known and bounded",
        {"what": ("data",)},
        "Grey levels from 0 to 255 become 0 to 1, and 0 stays what it was. New data may leave the "
        "interval, and one outlier squeezes all others.",
        technique="rescaling",
        claims=("min_max_keeps",),
        against=(
            Against(
                "Inputs should be centred as well as scaled, for convergence.",
                {"LeCun et al. 1998": "https://doi.org/10.1007/3-540-49430-8_2"},
            ),
        ),
        write="min_max",
    ),
)

VISION_ADVICE = (
    Advice(
        "batch-norm",
        "which",
        "Batch norm",
        ACTIVATIONS | VISION | {"batch": ("16",)} | SCRATCH,
        "With 16 samples or more its statistics are good estimates, it bears large learning "
        "rates, and at inference it can be folded into the convolution.",
        technique="batch_norm",
        claims=("faster_and_bolder", "initialization_matters_less", "small_batches"),
        papers=IOFFE,
        against=(
            Against(
                "A convolutional network built like a transformer did slightly better with layer "
                "norm over the channels.",
                {"Liu et al. 2022": "arXiv:2201.03545"},
            ),
        ),
        write="batch_norm",
    ),
    Advice(
        "group-norm",
        "which",
        "Group norm",
        ACTIVATIONS | VISION | SMALL | SCRATCH,
        "Its statistics are those of one sample, so their noise does not grow as the batch "
        "shrinks. How much batch norm loses depends on how many numbers share a statistic, "
        "positions included.",
        technique="group_norm",
        claims=("group_norm_and_batch_size", "small_batches"),
        papers=WU_HE,
        against=(
            Against(
                "Much of batch norm's loss at small batches comes from training and evaluation "
                "that disagree, and that can be mended: better averages, or the same statistics "
                "in both.",
                WU_JOHNSON,
                ("small_batches",),
            ),
        ),
        write="group_norm",
    ),
    Advice(
        "synchronized",
        "instead",
        "Batch norm synchronized over the devices, if you have several",
        ACTIVATIONS | VISION | {"batch": ("2",)} | SCRATCH,
        "What counts is how many samples share a statistic, not how many fit on a device. Each "
        "layer then waits for all devices. In torch: "
        "nn.SyncBatchNorm.convert_sync_batchnorm(model).",
        technique="batch_norm",
        papers=PENG,
        see={"what it exchanges": "exercises/rescaling"},
        against=(
            Against(
                "Group norm needs no exchange, and did as well from small to large batches.", WU_HE
            ),
        ),
    ),
    Advice(
        "weight-standardization",
        "beside",
        "Standardized kernels in front of group norm",
        ACTIVATIONS | VISION | SMALL | SCRATCH,
        "Each output channel's kernel is standardized, too. With group norm and one image per "
        "device its authors reach batch norm with large batches. The course has not measured that.",
        papers={"Qiao et al. 2019": "arXiv:1903.10520"},
        see={"the same without a mean, weight norm": "weights/weight_norm"},
    ),
    Advice(
        "mixture",
        "mixed",
        "Or let the network mix: switchable norm",
        ACTIVATIONS | VISION | SCRATCH | {"scarce": ("nothing",)},
        "It learns shares of instance, layer and batch norm. It costs more, keeps batch norm's "
        "two modes, and was not shown to beat a good single choice here.",
        technique="switchable_norm",
        claims=("switchable_shifts", "switchable_suits", "switchable_costs"),
        papers={"Luo et al. 2018": "arXiv:1806.10779"},
        against=(
            Against(
                "Only beside instance norm was it shown to bear small batches better here.",
                claims=("switchable_robust",),
            ),
        ),
        write="switchable_norm",
    ),
    Advice(
        "frozen",
        "which",
        "Keep batch norm, and freeze its statistics",
        ACTIVATIONS | VISION | SMALL | TUNED,
        "The averages of the first training are better than those of a few samples. Call eval() "
        "on these layers: requires_grad=False alone leaves the averages moving.",
        technique="batch_norm",
        claims=("keep_the_original", "small_batches"),
        papers=WU_JOHNSON,
        see={"how freezing fails": "practice/pitfalls"},
        against=(
            Against(
                "Detection trained better with statistics that were synchronized over the devices "
                "than with frozen ones.",
                PENG,
            ),
            Against("Pre-trained with group norm, there is nothing to freeze.", WU_HE),
        ),
    ),
    Advice(
        "before-the-activation",
        "where",
        "Behind the convolution, before the activation",
        ACTIVATIONS | VISION | SCRATCH,
        "So the paper has it. A bias in front of it has no effect; leave it out.",
        claims=("placement",),
        papers=IOFFE,
        against=(
            Against(
                "In residual networks norm and activation stand before the convolution.",
                {"He et al. 2016": "arXiv:1603.05027"},
            ),
        ),
    ),
)

SEQUENCES = (
    Advice(
        "rms-norm",
        "which",
        "RMSNorm; layer norm is as good",
        ACTIVATIONS | {"network": ("attention",)} | SCRATCH,
        "It leaves out the mean and the bias. Quality is the same in what was tried; whether it "
        "is faster, the kernel decides.",
        technique="rms_norm",
        claims=("rms_as_good", "rms_default", "rms_faster"),
        papers={
            "Zhang & Sennrich 2019": "arXiv:1910.07467",
            "Narang et al. 2021": "arXiv:2102.11972",
            "Touvron et al. 2023 (LLaMA)": "arXiv:2302.13971",
        },
        against=(
            Against(
                "The gradient through mean and variance is what makes layer norm work.",
                {"Xu et al. 2019": "arXiv:1911.07013"},
                ("gradient_through_statistics",),
            ),
            Against(
                "Batch norm can serve in a transformer, if its statistics are made steadier.",
                {"Shen et al. 2020": "arXiv:2003.07845"},
                ("right_for_sequences",),
            ),
        ),
        write="rms_norm",
    ),
    Advice(
        "pre-norm",
        "where",
        "Before each sublayer, and once at the end (Pre-LN)",
        ACTIVATIONS | {"network": ("attention",)} | SCRATCH,
        "The gradients are well behaved from the start, so that it trains without a warm-up.",
        technique="layer_norm",
        claims=("warm_up", "post_norm_gradient"),
        papers={"Xiong et al. 2020": "arXiv:2002.04745"},
        against=(
            Against(
                "With six layers or fewer Post-LN did better, where it trained at all.",
                {"Takase et al. 2022": "arXiv:2206.00330"},
            ),
            Against(
                "Post-LN trains a thousand layers, if residuals and initialization are scaled.",
                {"Wang et al. 2022": "arXiv:2203.00555"},
            ),
        ),
    ),
    Advice(
        "layer-norm",
        "which",
        "Layer norm",
        ACTIVATIONS | {"network": ("recurrent",)} | SCRATCH,
        "It treats each step and each length alike, and needs no batch. One batch norm for all "
        "steps did worse here; that layer norm beats every other, our runs did not show.",
        technique="layer_norm",
        claims=("right_for_sequences", "recurrent_batch_norm", "independent_of_batch"),
        papers={"Ba, Kiros & Hinton 2016": "arXiv:1607.06450"},
        against=(
            Against(
                "Batch norm with statistics of its own for each step works in an LSTM.",
                {"Cooijmans et al. 2016": "arXiv:1603.09025"},
                ("recurrent_batch_norm",),
            ),
        ),
        write="layer_norm",
    ),
)

IMAGES = (
    Advice(
        "generator",
        "which",
        "Batch norm in the generator, not in its output layer",
        ACTIVATIONS | {"network": ("gan",), "batch": ("2", "16")} | SCRATCH,
        "That is how the first convolutional GANs became trainable. The discriminator is another "
        "matter, see below.",
        technique="batch_norm",
        papers={"Radford et al. 2016": "arXiv:1511.06434"},
        claims=("before_the_output",),
        against=(
            Against(
                "Spectral norm helps in the generator, too.",
                {"Zhang et al. 2019": "arXiv:1805.08318"},
            ),
        ),
        write="batch_norm",
    ),
    Advice(
        "generator-of-one",
        "which",
        "Instance norm in the generator",
        ACTIVATIONS | {"network": ("gan",), "batch": ("1",)} | SCRATCH,
        "Image-to-image generators are trained with one image per step; there a channel of a "
        "sample is all that can share.",
        technique="instance_norm",
        papers={"Zhu et al. 2017": "arXiv:1703.10593"},
        claims=("stylizer_improves",),
        against=(
            Against(
                "It leaves droplets in the images; scale the weights instead.",
                {"Karras et al. 2020": "arXiv:1912.04958"},
            ),
        ),
        write="instance_norm",
    ),
    Advice(
        "discriminator",
        "beside",
        "Spectral norm on the discriminator's weights",
        ACTIVATIONS | {"network": ("gan",)} | SCRATCH,
        "It bounds how fast the discriminator can change, and does not let the samples of a batch "
        "see each other.",
        technique="spectral_norm",
        claims=("spectral_bounds_and_stabilizes", "spectral_makes_clipping_unnecessary"),
        papers=MIYATO,
        against=(
            Against(
                "Penalize the gradient, and use layer norm in the critic.",
                {"Gulrajani et al. 2017": "arXiv:1704.00028"},
            ),
        ),
        write="spectral_norm",
    ),
    Advice(
        "style",
        "which",
        "Instance norm",
        ACTIVATIONS | {"network": ("style",)} | SCRATCH,
        "Mean and spread of each channel of an image are much of its style: taken away from the "
        "content, and set anew, they carry another. What must be told by its contrast is lost.",
        technique="instance_norm",
        claims=(
            "contrast_removed",
            "statistics_are_style",
            "stylizer_improves",
            "loses_relations",
        ),
        papers={
            "Ulyanov et al. 2016": "arXiv:1607.08022",
            "Huang & Belongie 2017": "arXiv:1703.06868",
        },
        see={"γ and β that depend on a condition": "practice/frontier"},
        against=(
            Against(
                "In a generator it leaves droplets; scale the weights instead.",
                {"Karras et al. 2020": "arXiv:1912.04958"},
            ),
        ),
        write="instance_norm",
    ),
    Advice(
        "diffusion",
        "which",
        "Group norm with 32 groups",
        ACTIVATIONS | {"network": ("diffusion",)} | SCRATCH,
        "This is practice, not a result: the first paper put it in the place of weight norm, and "
        "published code kept it, with ε = 1e-6 in latent diffusion's residual blocks.",
        technique="group_norm",
        claims=("number_of_groups", "independent_of_batch"),
        papers={
            "Ho et al. 2020": "arXiv:2006.11239",
            "latent diffusion's code": "https://github.com/CompVis/latent-diffusion/blob/main/ldm/"
            "modules/diffusionmodules/model.py",
        },
        see={"layer norms that are set by the step": "practice/frontier"},
        against=(
            Against(
                "Without any group norm, but with normalized weights, a U-Net became better.",
                {"Karras et al. 2024": "arXiv:2312.02696"},
            ),
            Against(
                "A transformer takes its place, with layer norms that are set by the step.",
                {"Peebles & Xie 2023": "arXiv:2212.09748"},
            ),
        ),
        write="diffusion",
    ),
    Advice(
        "groups",
        "beside",
        "Begin with 32 groups, and see that each holds several channels",
        ACTIVATIONS | {"network": ("diffusion",)} | SCRATCH,
        "With fewer than 64 channels take fewer groups. A group of one channel and one position "
        "is always β.",
        technique="group_norm",
        claims=("number_of_groups", "ends_of_group_norm"),
        papers=WU_HE,
    ),
)

ON_WEIGHTS = (
    Advice(
        "weight-norm",
        "which",
        "Weight norm, started from data",
        WEIGHTS
        | {"network": ("convolution", "detection", "attention", "recurrent", "diffusion")}
        | SCRATCH,
        "No batch, no modes, little cost: each unit has a length and a direction. Do not expect "
        "it to replace batch norm in a deep classifier.",
        technique="weight_norm",
        claims=("wn_faster_than_none", "wn_faster_than_bn", "wn_worse_in_the_end"),
        papers={"Salimans & Kingma 2016": "arXiv:1602.07868"},
        against=(
            Against(
                "On a large classifier it ended well below batch norm.",
                {"Gitman & Ginsburg 2017": "arXiv:1709.08145"},
                ("wn_worse_in_the_end",),
            ),
        ),
        write="weight_norm",
    ),
    Advice(
        "demodulation",
        "which",
        "Scale the weights by the style, then divide by their norm",
        WEIGHTS | {"network": ("style",)} | SCRATCH,
        "It does to the expected spread what instance norm does to the measured one, and leaves "
        "no droplets. It is weight norm behind a scale per input channel.",
        technique="weight_norm",
        papers={"Karras et al. 2020": "arXiv:1912.04958"},
        against=(
            Against(
                "For stylizing photographs, instance norm on the activations.",
                {"Ulyanov et al. 2017": "arXiv:1701.02096"},
                ("stylizer_improves",),
            ),
        ),
    ),
    Advice(
        "spectral-norm",
        "which",
        "Spectral norm, in the discriminator",
        WEIGHTS | {"network": ("gan",)} | SCRATCH,
        "It bounds how fast the discriminator can change. One step of power iteration per update "
        "is an estimate, and a convolution's kernel is not its operator: the bound is not exact.",
        technique="spectral_norm",
        claims=("spectral_bounds_and_stabilizes", "power_iteration_accurate"),
        papers=MIYATO,
        against=(
            Against(
                "Penalize the gradient, and use layer norm in the critic.",
                {"Gulrajani et al. 2017": "arXiv:1704.00028"},
            ),
        ),
        write="spectral_norm",
    ),
    Advice(
        "spectral-outside",
        "beside",
        "Spectral norm only where you need its bound",
        WEIGHTS
        | {"network": ("convolution", "detection", "attention", "recurrent", "style", "diffusion")},
        "Robustness, models of dynamics, distances that shall mean something. As a way to "
        "generalize better it did not show here.",
        technique="spectral_norm",
        claims=("spectral_generalizes",),
        papers=MIYATO,
        against=(
            Against(
                "A penalty on the spectral norm made classifiers generalize better.",
                {"Yoshida & Miyato 2017": "arXiv:1705.10941"},
            ),
            Against(
                "In transformers, with a learned factor, it keeps attention from collapsing.",
                {"Zhai et al. 2023": "arXiv:2303.06296"},
            ),
        ),
        write="spectral_norm",
    ),
)

TUNING = (
    Advice(
        "keep",
        "which",
        "Keep the kind that the network was trained with",
        ACTIVATIONS | {"network": ("attention", "recurrent", "gan", "style", "diffusion")} | TUNED,
        "The weights behind it expect what it puts out: another kind, or none, cost much here. "
        "Carry ε with the weights.",
        claims=("keep_the_original",),
        see={"carrying a layer to another framework": "practice/frameworks"},
        against=(
            Against(
                "A Pre-LN transformer can be turned into one with RMSNorm, exactly.",
                {"Jiang et al. 2023": "arXiv:2305.14858"},
            ),
        ),
    ),
    Advice(
        "keep-batch-norm",
        "which",
        "Keep the kind; let its statistics follow the new data",
        ACTIVATIONS | VISION | {"batch": ("16",)} | TUNED,
        "The weights behind it expect what it puts out. With 16 samples or more the averages "
        "learn the new data by themselves.",
        technique="batch_norm",
        claims=("keep_the_original",),
        papers={"Li et al. 2016": "arXiv:1603.04779"},
        see={"carrying a layer to another framework": "practice/frameworks"},
        against=(
            Against(
                "Frozen statistics make training and evaluation agree.",
                WU_JOHNSON,
            ),
        ),
    ),
    Advice(
        "keep-weights",
        "which",
        "Leave the weights' normalization as it was",
        WEIGHTS | TUNED,
        "Weight norm can be put on or taken off without a change of the function, if it starts at "
        "g = ‖w‖. Spectral norm cannot: it divides by σ, and each layer behind gets less or more.",
        technique="weight_norm",
        papers={"Salimans & Kingma 2016": "arXiv:1602.07868", **MIYATO},
        claims=("keep_the_original",),
    ),
)

SETTINGS = (
    Advice(
        "begin",
        "begin",
        "γ = 1, β = 0; in the last norm of a residual branch γ = 0",
        ACTIVATIONS | SCRATCH,
        "With γ = 0 a block begins as the identity and joins as γ grows. Other starts cost a few "
        "points here even at their own best rate.",
        claims=("scale_starts_at_one",),
        papers={"Goyal et al. 2017": "arXiv:1706.02677"},
    ),
    Advice(
        "epsilon",
        "epsilon",
        "Your framework's ε, if it survives your precision",
        ACTIVATIONS | SCRATCH,
        "Where the variance is near 1 it hardly matters. 1e-8 is 0 in float16, and a constant row "
        "becomes NaN: keep the statistics in float32.",
        claims=("epsilon_range", "rms_more_stable"),
        see={"the four frameworks' ε": "practice/frameworks"},
    ),
    Advice(
        "memory",
        "budget",
        "Count the bytes that your layer keeps",
        ACTIVATIONS | {"scarce": ("memory",)},
        "Most keep one block, their input; what keeps more is an implementation, not a formula. "
        "Then shrink the batch, and choose a norm that bears it.",
        claims=("rms_less_memory",),
        papers={"Rota Bulò et al. 2018": "arXiv:1712.02616"},
        see={"what each keeps": "practice/compare"},
    ),
    Advice(
        "time",
        "budget",
        "Time the kernel, not the formula",
        ACTIVATIONS | {"scarce": ("time",)},
        "The shortest formula was the slowest layer on our processor until it was compiled. At "
        "inference batch norm alone can be folded away.",
        claims=("rms_faster", "bn_inference_time"),
        papers={"Zhang & Sennrich 2019": "arXiv:1910.07467"},
        see={"what each costs": "practice/compare"},
    ),
    Advice(
        "without",
        "without",
        "Or none: residual branches that start at 0",
        ACTIVATIONS
        | {"network": ("convolution", "detection", "attention"), "scarce": ("memory", "time")}
        | SCRATCH,
        "What a norm does for depth can be had at the start of training, for nothing: a factor of "
        "0, or a bound. Large learning rates are what you may lose.",
        papers={
            "De & Smith 2020": "arXiv:2002.10444",
            "Brock et al. 2021": "arXiv:2102.06171",
            "Zhu et al. 2025": "arXiv:2503.10622",
        },
        see={"networks without a norm": "practice/frontier"},
        against=(
            Against(
                "A norm keeps measuring while the weights change, and bears larger rates.",
                claims=("faster_and_bolder",),
                papers={"Bjorck et al. 2018": "arXiv:1806.02375"},
            ),
        ),
    ),
    Advice(
        "weights-budget",
        "budget",
        "Weights are cheap when the batch is large",
        WEIGHTS | {"scarce": ("memory", "time")},
        "The cost grows with the weights, not with the samples. Fold the norm into the weight "
        "before you serve.",
        technique="weight_norm",
        claims=("wn_costs_less", "power_iteration_cheap"),
        papers={"Salimans & Kingma 2016": "arXiv:1602.07868"},
        see={"what each costs": "practice/compare"},
    ),
)

_ALL = (*DATA, *VISION_ADVICE, *SEQUENCES, *IMAGES, *ON_WEIGHTS, *TUNING, *SETTINGS)
# In the order in which they are read.
ADVICE = tuple(sorted(_ALL, key=lambda advice: list(PARTS).index(advice.part)))
