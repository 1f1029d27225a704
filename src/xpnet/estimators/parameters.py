"""The parameters and attributes that both classes have: what is allowed, and their documentation."""

from numbers import Real

from sklearn.utils._param_validation import Interval, StrOptions

from ..equations.activations import BY_NAME, Activation

BEYOND_SCIKIT_LEARN: dict[str, list] = {
    "activation": [StrOptions(set(BY_NAME)), Activation, list, tuple],
    "solver": [StrOptions({"lbfgs", "sgd", "adam", "adamw"})],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"}), callable],
    "penalty": [StrOptions({"l1", "l2", "elasticnet"}), None],
    "l1_ratio": [Interval(Real, 0, 1, closed="both")],
    "weight_decay": [Interval(Real, 0, None, closed="left")],
    "dropout": [Interval(Real, 0, 1, closed="left"), list, tuple],
    "clip_norm": [Interval(Real, 0, None, closed="right"), None],
    "scoring": [str, callable, None],
    "backend": [str, None],
    "precision": [str, None],
}
"""What is allowed for the parameters that scikit-learn does not have, or restricts more."""

PARAMETERS = """\
    hidden_layer_sizes : int or sequence of int, default (100,)
        Units of each hidden layer; () is logistic or linear regression.
    activation : str, Activation, or a list of them
        Of the hidden layers; a list has one for each. scikit-learn's "identity", "logistic", "tanh" and "relu", any
        other name of :data:`xpnet.activations.BY_NAME`, or an object, also of a class of your own.
    solver : {"adam", "sgd", "lbfgs", "adamw"}
        :class:`xpnet.Adam`, :class:`xpnet.Momentum`, SciPy's L-BFGS on all samples at once, or :class:`xpnet.AdamW`.
        L-BFGS computes in float64 unless ``precision`` says otherwise, and has no ``partial_fit``.
    alpha : float
        The penalty's strength; lambda = alpha / sum of the batch's sample weights.
    learning_rate : {"constant", "invscaling", "adaptive"} or callable
        scikit-learn's names are for sgd alone. A schedule such as ``xpnet.schedules.Cosine(steps)``, a function of the
        step, and ``xpnet.schedules.Adaptive()`` are for every solver that steps.
    penalty : {"l2", "l1", "elasticnet"} or None
        On the weights (D0): alpha/2 sum w^2, alpha sum |w|, or ``l1_ratio`` of the one and the rest of the other.
    l1_ratio : float
        L1's share in "elasticnet", from 0 to 1.
    weight_decay : float
        AdamW's: theta -= rate * weight_decay * theta on the weights.
    dropout : float or list of float
        The share of each hidden layer's units that a step leaves out; a list has one for each layer. The masks follow
        from ``random_state`` and are the same on every backend.
    clip_norm : float, optional
        Longer gradients are scaled down to this norm; inf only records the norm in ``history_``.
    scoring : str or callable, optional
        What early stopping looks at: by default the accuracy or R^2, "loss" the loss of the validation set, or any
        scorer of scikit-learn's.
    backend : {"numpy", "cpu", "cupy", "cuda", "cupy:N", "auto"}, optional
        Who computes; see :func:`xpnet.get_backend`. By default everything follows X.
    precision : {"float32", "float64", "tf32", "bfloat16"}, optional
        What is computed in, see :class:`xpnet.Model`. By default float32 or float64 as X is.
    verbose : bool or int
        Whether to print scikit-learn's lines; 2 prints a table of ``history_``.
    batch_size, learning_rate_init, power_t, max_iter, shuffle, random_state, tol, warm_start, \
momentum, nesterovs_momentum, early_stopping, validation_fraction, beta_1, beta_2, epsilon, n_iter_no_change, max_fun
        As in scikit-learn.
"""

ATTRIBUTES = """\
    coefs_, intercepts_ : lists of arrays, of X's library
        W_k (n_{k-1}, n_k) and b_k (n_k,).
    history_ : dict of lists
        Epoch by epoch: loss, validation_loss, validation_score, learning_rate, gradient_norm, seconds; what was not
        recorded is not there.
    validation_loss_curve_ : list of float, or None without a validation set
        Its loss after each epoch, without the penalty.
    loss_curve_, loss_, best_loss_, validation_scores_, best_validation_score_, n_iter_, t_, n_features_in_, \
feature_names_in_, n_layers_, n_outputs_, out_activation_
        As in scikit-learn.
"""
