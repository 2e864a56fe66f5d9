"""The kinds of numbers a network gives, and the operators that hand numbers on as they are."""
PROBABILITIES, LOGITS, LOG_PROBABILITIES = "probabilities", "logits", "log-probabilities"
INDEPENDENT, VALUES, SCORES = "independent probabilities", "values", "class scores"
EMBEDDING, MAP, LOSS = "embedding", "map", "loss"
CLASS_KINDS = (PROBABILITIES, LOGITS, LOG_PROBABILITIES, SCORES)  # one of N classes
KINDS = (*CLASS_KINDS, INDEPENDENT, VALUES, EMBEDDING, MAP, LOSS)

# operators that hand their first input's numbers on, in another shape or type
HANDING_ON = frozenset((
    "Flatten", "Reshape", "Cast", "_copy", "BlockGrad", "Dropout", "squeeze", "expand_dims", "amp_cast", "MakeLoss",
    "make_loss", "_identity_with_attr_like_rhs", "IdentityAttachKLSparseReg"))
