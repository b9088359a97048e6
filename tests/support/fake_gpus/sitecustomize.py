"""Two GPUs for the processes that find this folder on their path: handed out as real ones are, computing on the CPU."""

import importlib.abc
import importlib.util
import logging
import sys
from contextlib import contextmanager

COUNT = 2


class _Finder(importlib.abc.MetaPathFinder):
    """Changes modules as soon as they are loaded."""

    def find_spec(self, name, path=None, target=None):
        change = CHANGES.pop(name, None)
        if change is None:
            return None
        spec = importlib.util.find_spec(name)
        run = spec.loader.exec_module

        def exec_module(module):
            run(module)
            change(module)

        spec.loader.exec_module = exec_module
        return spec


def _devices(module):
    on_cpu = module.device

    @contextmanager
    def device(name, gpus=1):
        with module._slot(COUNT) as index, on_cpu("cpu") as place:
            logging.getLogger("bumpscope.fake").info("holds fake GPU %d", index)
            yield place
            logging.getLogger("bumpscope.fake").info("gives back fake GPU %d", index)

    module.device = device


def _jobs(module):
    number = module.runs_in_a_job
    module.runs_in_a_job = lambda text, on_gpu: number(text, True)


CHANGES = {"bumpscope.denoise.devices": _devices, "bumpscope.commands.jobs": _jobs}
sys.meta_path.insert(0, _Finder())
