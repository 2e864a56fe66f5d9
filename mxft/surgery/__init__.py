"""List layers, find the feature layer, cut, and attach a new head: the tutorial's get_internals work, by graph.

Every function returns a new symbol; the one it was given is untouched.
"""
from mxft.network.anatomy import FeatureLayer
from mxft.network.anatomy.outputs import LOSSES
from mxft.surgery.attach import Dense, NewHead, attach_head, get_fine_tune_model, with_loss
from mxft.surgery.cut import cut_at, cut_loss
from mxft.surgery.layers import (
    Layer,
    data_name,
    embedding_layer,
    feature_layer_named,
    find_feature_layer,
    label_names,
    list_layers,
)
from mxft.surgery.states import batch_norms_to_eval, stateful_layers, states_kept

__all__ = ["LOSSES", "Dense", "FeatureLayer", "Layer", "NewHead", "attach_head", "batch_norms_to_eval", "cut_at",
           "cut_loss", "data_name", "embedding_layer", "feature_layer_named", "find_feature_layer",
           "get_fine_tune_model", "label_names", "list_layers", "stateful_layers", "states_kept", "with_loss"]
