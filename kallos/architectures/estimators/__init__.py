"""The estimators inside Darts' `SKLearnModel`. All but `model` import Darts: import them where a model is built."""
