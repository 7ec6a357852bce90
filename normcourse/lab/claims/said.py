"""Who says what: the statements of widely read introductions, and the claims that try each."""

__all__ = ["INTRODUCTIONS", "STATEMENTS", "said_by"]

INTRODUCTIONS = {
    "A": "“The 5 Normalization Techniques”, Mustafa, Towards AI",
    "B": "“Normalization in Deep Learning”, a course page",
    "C": "a survey by J. O. Schneppat",
    "D": "“Normalization techniques: stabilizing neural networks”, an interactive lesson",
    "E": "a guide with formulas and a decision table",
}

# One line for each statement: who makes it, and the names of the claims that try it.
STATEMENTS = tuple(
    (line.split()[0], tuple(line.split()[1:]))
    for line in """\
A adding_layers
B feature_scales
BD activations_with_depth
ABCDE covariate_shift
D five_to_ten_times_faster
D learning_rates_needed
D higher_learning_rates
D effective_learning_rate
D bn_training_time
D bn_inference_time
CDE bn_regularizes bn_no_substitute
B min_max_keeps
B standardization_helps
CE faster_and_bolder
CE prevents_vanishing_and_exploding
BCE initialization_matters_less
C bn_needs_less_dropout
BCE small_batches
BE recurrent_batch_norm
DE wrong_mode
E samples_depend
BCDE independent_of_batch
BCDE right_for_sequences
C lacks_regularization
CE contrast_removed stylizer_improves
C loses_relations
CE group_norm_and_batch_size
C ends_of_group_norm
C number_of_groups
E rms_faster
E rms_less_memory
E rms_more_stable
E rms_as_good
DE used_by
C wn_faster_than_none wn_faster_than_bn
C wn_costs_less
C wn_worse_in_the_end
C spectral_bounds_and_stabilizes
C spectral_generalizes
C spectral_makes_clipping_unnecessary
C power_iteration_cheap power_iteration_accurate
C dn_models_gain_control
C dn_improves_generalization
C dn_cost_grows dn_settings_matter
C switchable_suits switchable_shifts
C switchable_robust switchable_costs
E placement
E epsilon_range
E scale_starts_at_one
DE mixing_types
E before_the_output
E keep_the_original
D affine_undoes
E rms_default""".splitlines()
)


def said_by(name):
    """The letters of the introductions that make a claim; empty where it is a paper's own."""
    return "".join(letters for letters, names in STATEMENTS if name in names)
