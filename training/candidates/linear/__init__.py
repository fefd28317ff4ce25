"""Logistic candidates fitted by penalised likelihood."""
