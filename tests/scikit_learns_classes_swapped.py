"""A pytest plugin, loaded with ``-p`` before anything is collected: scikit-learn's MLP classes are xpnet's."""

from sklearn import neural_network

import xpnet

neural_network.MLPClassifier = xpnet.MLPClassifier
neural_network.MLPRegressor = xpnet.MLPRegressor
