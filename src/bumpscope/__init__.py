"""bumpscope: watches a diffusion model learn where things are, and says by number what it has learnt and when."""

from bumpscope.version import __version__

__all__ = ["__version__"]
