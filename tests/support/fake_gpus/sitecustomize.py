"""Two GPUs for the processes that find this folder on their path: handed out as real ones are, computing on the CPU."""

import importlib.abc
import importlib.util
import logging
import sys
from contextlib import contextmanager

DEVICES = "bumpscope.denoise.devices"
COUNT = 2


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name != DEVICES:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        run = spec.loader.exec_module

        def exec_module(module):
            run(module)
            _fake(module)

        spec.loader.exec_module = exec_module
        return spec


def _fake(module):
    on_cpu = module.device

    @contextmanager
    def device(name, gpus=1):
        with module._slot(COUNT) as index, on_cpu("cpu") as place:
            logging.getLogger("bumpscope.fake").info("holds fake GPU %d", index)
            yield place
            logging.getLogger("bumpscope.fake").info("gives back fake GPU %d", index)

    module.device = device


sys.meta_path.insert(0, _Finder())
