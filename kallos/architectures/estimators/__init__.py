"""The estimators inside Darts' `SKLearnModel`, which import Darts: import them only where a model is built."""
