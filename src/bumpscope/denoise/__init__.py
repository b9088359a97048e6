"""The forward process, denoisers, samplers and training."""
