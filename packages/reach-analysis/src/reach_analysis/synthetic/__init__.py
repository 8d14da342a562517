"""Rollouts and recordings whose truth is known: for the tests, and as an example to try the commands on."""
