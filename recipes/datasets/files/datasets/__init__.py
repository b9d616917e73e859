"""Stands in for Hugging Face's datasets, which needs pyarrow.

Programs that import datasets for a type or a rarely used function work; what would need pyarrow says so when it is used. The version is
below every release, so that a requirement with a version brings the real package in this one's place.
"""

__version__ = "0+ironwheel"

ADVICE = (
    "{what} needs pyarrow, which this environment doesn't have: it isn't built from source here yet, and its published wheels end in "
    "\"Illegal instruction\" on CPUs without SSE4.2. Read the files themselves (csv, json, soundfile, a torch.utils.data.Dataset of your "
    "own), or prepare the data on a newer CPU. For newer CPUs alone, `pip install \"datasets>=2\"` puts the real package in this one's place."
)


class PyarrowMissing(ImportError):
    """What everything here raises when it is used."""


def _function(name):
    def missing(*arguments, **options):
        raise PyarrowMissing(ADVICE.format(what=f"datasets.{name}()"), name="pyarrow")

    missing.__name__ = missing.__qualname__ = name
    missing.__doc__ = "Raises PyarrowMissing."
    missing.__module__ = __name__
    return missing


class _Missing(type):
    """Types that isinstance() can ask about, and nothing is an instance of."""

    def __call__(cls, *arguments, **options):
        raise PyarrowMissing(ADVICE.format(what=f"datasets.{cls.__name__}"), name="pyarrow")

    def __getattr__(cls, name):
        raise AttributeError(ADVICE.format(what=f"datasets.{cls.__name__}.{name}"), name=name, obj=cls)


_TYPES = (
    "Array2D", "Array3D", "ArrowBasedBuilder", "Audio", "ClassLabel", "Dataset", "DatasetBuilder", "DatasetDict", "DatasetInfo", "DownloadConfig",
    "DownloadManager", "Features", "GeneratorBasedBuilder", "Image", "IterableDataset", "IterableDatasetDict", "LargeList", "NamedSplit", "Sequence",
    "Split", "SplitDict", "SplitGenerator", "Translation", "Value", "Video",
)  # fmt: skip
_FUNCTIONS = (
    "concatenate_datasets", "disable_caching", "disable_progress_bars", "enable_caching", "enable_progress_bars", "get_dataset_config_names",
    "get_dataset_infos", "get_dataset_split_names", "interleave_datasets", "is_caching_enabled", "load_dataset", "load_dataset_builder",
    "load_from_disk",
)  # fmt: skip

for _name in _TYPES:
    globals()[_name] = _Missing(_name, (), {"__module__": __name__, "__doc__": "Needs pyarrow."})
for _name in _FUNCTIONS:
    globals()[_name] = _function(_name)
del _name

__all__ = [*_TYPES, *_FUNCTIONS]


def __getattr__(name):
    raise AttributeError(ADVICE.format(what=f"datasets.{name}"))
