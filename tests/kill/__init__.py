"""Kill points made from outside, with strace and signals: the product has no code for them. Not in the test command."""
