"""Churn for an hour against `tertulia serve`, and a verdict: does anything grow?"""
